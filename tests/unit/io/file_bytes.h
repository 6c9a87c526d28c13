// Files made in the test, byte by byte.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace mrl::io {

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// An npy file of version `major` whose header is `dictionary`, padded as numpy pads it.
inline std::string NpyBytes(const std::string& dictionary, const std::string& data, int major = 1) {
  const size_t start = major == 1 ? 10 : 12;
  std::string text = dictionary;
  while ((start + text.size() + 1) % 64 != 0) text += ' ';
  text += '\n';
  std::string file("\x93NUMPY", 6);
  file += static_cast<char>(major);
  file += '\0';
  for (size_t i = 0; i < (major == 1 ? 2 : 4); ++i) {
    file += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return file + text + data;
}

inline std::string NpyDictionary(const std::string& descr, const std::string& shape,
                                 const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string pattern = "/tmp/mrl-io-test-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~Folder() { FileSystem::Posix().RemoveTree(path_).IgnoreError(); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // The path of a new file of these bytes.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(JoinPath(path_, name), std::ios::binary) << bytes;
    return JoinPath(path_, name);
  }

 private:
  std::string path_;
};

}  // namespace mrl::io
