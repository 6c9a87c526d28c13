// What tests of the kinds that are built beside the scan share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "index/coarse/coarse.h"
#include "index/coarse/index_spec.h"
#include "tests/unit/coarse/sample.h"

namespace mrl::test {

constexpr uint64_t kIndexFileMax = uint64_t{64} << 20;

// Rows with a code of bytes and one of signs.
SampleOptions Signs(uint32_t rows);
// Ten distinct vectors, each 60 times: every score ties.
SampleOptions TiedRows();

class BuiltIndex : public ::testing::Test {
 protected:
  // Builds, with what is left open filled in, and opens. The files are PathOf(sample, 0), 1, ….
  std::shared_ptr<const coarse::CoarseIndex> Build(Sample& sample, const coarse::IndexSpec& spec,
                                                   uint32_t threads = 2);
  static std::string PathOf(const Sample& sample, int number);
  // The message of an INVALID_ARGUMENT.
  static std::string Refusal(const coarse::CoarseIndex& index, const coarse::Request& request);
  // Changes a byte in each 4096 of the file, where sections begin, and opens it: how often it was
  // refused, with DATA_LOSS each time. A byte between sections may be changed.
  static int RefusalsOfChangedBytes(Sample& sample, const std::string& path,
                                    const std::string& kind);

 private:
  int number_ = 0;
};

void ExpectSameRows(const std::vector<coarse::Candidate>& found,
                    const std::vector<coarse::Candidate>& wanted);
// How many rows of `wanted` are in `found`.
size_t CountFound(const std::vector<coarse::Candidate>& found,
                  const std::vector<coarse::Candidate>& wanted);
// A bitmap of rows 0, 3, 6, ….
std::vector<uint64_t> EveryThird(uint32_t rows);

}  // namespace mrl::test
