// What differs between the versions of FAISS that are known: 1.7 as the distribution has it,
// and 1.9 to 1.15.
#pragma once

#include <faiss/Index.h>

namespace mrl::coarse {

// Newer FAISS moved the name of this type out of the class; the type of the member is stable.
using FaissId = decltype(faiss::Index::ntotal);

static_assert(FAISS_VERSION_MAJOR == 1 && (FAISS_VERSION_MINOR == 7 ||
                                           (FAISS_VERSION_MINOR >= 9 && FAISS_VERSION_MINOR <= 15)),
              "a version of FAISS that nobody has looked at: 1.7, and 1.9 to 1.15, are known");

}  // namespace mrl::coarse
