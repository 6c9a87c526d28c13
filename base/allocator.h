// How the C library's allocator gives memory back to the system.
#pragma once

namespace mrl {

// For the start of a program that searches. A search takes some hundred KB and frees them; glibc
// would return them to the system each time and get them back page by page, zeroed: a tenth of a
// search's time. Up to 16 MiB an arena stay with the process instead. Nothing where the C library
// is another one.
void KeepFreedMemory();

}  // namespace mrl
