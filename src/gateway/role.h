/* role.h - `vine gateway`. */
#pragma once
#include "manage/host.h"

extern const struct role_ops gateway_role;
