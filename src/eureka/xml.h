/* xml.h - instances and applications in Eureka's XML, as XStream writes it and as fargo, Java and Python read it.
 *
 * Element names of metadata follow XStream's coding: '_' is "__", '$' is "_-", any other byte that no XML name may hold is
 * "_." and four hex digits; unlike XStream's, ':' too, which parsers take for a namespace's. Only expat is behind the reader,
 * with DTDs and entities refused. Pure. */
#pragma once
#include "base/buf.h"
#include "eureka/instance.h"

struct apps_doc;

/* One <instance> element; depth: how many levels it is indented by. */
void instance_xml_write(struct buf *b, const struct instance *i, unsigned depth);
void instance_xml_write_mini(struct buf *b, const struct instance *i); /* "compact": on one line */
void xml_text(struct buf *b, struct str s); /* escaped; what XML cannot hold, and what is no UTF-8, becomes '?' */
void xml_name_encode(struct buf *b, struct str key);
/* Into a, where the result needs no more room than the name. */
struct str xml_name_decode(struct arena *a, struct str name);

/* <instance>, or <com.netflix.appinfo.InstanceInfo>. As instance_json_decode. */
int instance_xml_decode(struct instance *ret, struct str body, struct arena *a, struct err *e);
int apps_xml_decode(struct apps_doc *ret, struct str body, struct err *e);
