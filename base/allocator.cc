#include "base/allocator.h"

#include <malloc.h>

namespace mrl {

void KeepFreedMemory() {
#if defined(M_TRIM_THRESHOLD) && defined(M_MMAP_THRESHOLD)
  // Either call ends glibc's own adjusting of both. What is larger than the second is mapped, and
  // goes back to the system as soon as it is freed.
  mallopt(M_TRIM_THRESHOLD, 16 << 20);
  mallopt(M_MMAP_THRESHOLD, 16 << 20);
#endif
}

}  // namespace mrl
