// The program mrl-index as a process, in a folder of files made for it.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mrl::cli {

struct Finished {
  int code = -1;  // 1000 + signal when one ended it
  std::string out;
  std::string err;
};

// Two runs of a fixture share nothing: each has a folder of its own, which goes with it.
class Program : public ::testing::Test {
 protected:
  static constexpr uint32_t kDims = 32;
  static constexpr size_t kRows = 200;

  Program();
  ~Program() override;

  // Path of a name in the folder.
  std::string operator/(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& bytes) const;
  std::string ReadFile(const std::string& name) const;
  // Names in the folder, sorted.
  std::vector<std::string> Names() const;

  // Normally distributed values, the same for the same seed; the first dimensions are the largest.
  static std::vector<float> Vectors(size_t rows, uint32_t seed = 1, uint32_t dims = kDims);
  // An npy file of 2-D `values`.
  std::string WriteNpy(const std::string& name, const std::vector<float>& values,
                       uint32_t dims = kDims) const;
  // An npy file of any elements and shape.
  std::string WriteNpy(const std::string& name, const std::string& descr, const std::string& shape,
                       const std::string& data) const;

  // Starts the program with its outputs in files of the folder, and waits for it.
  pid_t Start(const std::vector<std::string>& arguments) const;
  Finished Wait(pid_t child) const;
  Finished Run(const std::vector<std::string>& arguments) const { return Wait(Start(arguments)); }
  // Builds kRows vectors with payloads {"text":"point N","n":N} as `index`; fails the test
  // otherwise.
  std::string BuildIndex(const std::vector<std::string>& more = {}) const;

 private:
  std::string folder_;
};

}  // namespace mrl::cli
