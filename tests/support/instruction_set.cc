// For test programs that run once per instruction set: with MRL_CPU set to one that this CPU lacks,
// everything is skipped and says so, where the table of kernels would be that of another set.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "index/kernels/kernels.h"

namespace mrl::test {
namespace {

using kernels::InstructionSet;

bool IsNameOfASet(const std::string& name) {
  for (const InstructionSet set :
       {InstructionSet::kScalar, InstructionSet::kAvx2, InstructionSet::kAvx512,
        InstructionSet::kAvx512Icl, InstructionSet::kNeon}) {
    if (name == kernels::Name(set)) return true;
  }
  return false;
}

class WantedSet : public ::testing::Environment {
 public:
  void SetUp() override {
    InstructionSet set;
    const char* supported = nullptr;
    if (kernels::ChooseFromEnvironment(&set, &supported)) return;
    const std::string wanted = std::getenv("MRL_CPU");
    ASSERT_TRUE(IsNameOfASet(wanted)) << "MRL_CPU is " << wanted << ", which is no set";
    GTEST_SKIP() << "this CPU lacks " << wanted << ", it has " << supported;
  }
};

[[maybe_unused]] const auto* const environment = ::testing::AddGlobalTestEnvironment(new WantedSet);

}  // namespace
}  // namespace mrl::test
