// Under ThreadSanitizer protobuf's map fields have two more members, that Debian's library,
// compiled without it, does not know: it would read an arena's address where they stand. Included
// before all that is generated from our .proto files, this gives map fields the library's layout.
#pragma once

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
