/* role.h - `vine registry`. */
#pragma once

struct role_ops;

extern const struct role_ops registry_role;
