// A fixture that runs each case on every instruction set; the run's summary lists the ones this CPU
// lacks as skipped.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "index/kernels/kernels.h"

namespace mrl::kernels {

class SetTest : public testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (!Supported(GetParam())) GTEST_SKIP() << "this CPU lacks " << Name(GetParam());
  }
  const Table& table() const { return ForSet(GetParam()); }
};

inline auto EverySet() {
  return testing::Values(InstructionSet::kScalar, InstructionSet::kAvx2, InstructionSet::kAvx512,
                         InstructionSet::kAvx512Icl, InstructionSet::kNeon);
}

inline std::string SetName(const testing::TestParamInfo<InstructionSet>& info) {
  return Name(info.param);
}

}  // namespace mrl::kernels
