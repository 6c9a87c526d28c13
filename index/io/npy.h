// The header of an npy file (versions 1 to 3), read strictly: what numpy's own format page allows
// and we can use, and nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/file.h"

namespace mrl::io {

struct NpyHeader {
  std::string dtype;  // as written: "<f4"
  std::vector<uint64_t> shape;
  uint64_t data_offset = 0;
  uint64_t element_bytes = 0;

  uint64_t elements() const;
};

// INVALID_ARGUMENT names `name` and what is wrong: not an npy file, cut short, Fortran order,
// big-endian or object dtype, dtype not in `dtypes`, more rows than the file has.
absl::StatusOr<NpyHeader> ReadNpyHeader(const ReadableFile& file, const std::string& name,
                                        const std::vector<std::string>& dtypes);

}  // namespace mrl::io
