#include <gmock/gmock.h>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class Usage : public Program {
 protected:
  void ExpectWrong(const std::vector<std::string>& arguments, const std::string& message) const {
    const Finished run = Run(arguments);
    EXPECT_EQ(run.code, 2) << run.err;
    EXPECT_THAT(run.err, HasSubstr(message));
    EXPECT_THAT(run.out, IsEmpty());
  }
};

TEST_F(Usage, VersionAndHelpGoToStdout) {
  const Finished version = Run({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, StartsWith("mrl-index "));
  EXPECT_THAT(Run({"--help"}).out, HasSubstr("Exit codes: 0 ok, 1 failure, 2 usage, 65"));
}

TEST_F(Usage, EveryVerbHasHelpWithAnExample) {
  for (const std::string verb :
       {"build", "append", "inspect", "verify", "search", "eval", "tune", "report", "estimate"}) {
    const Finished help = Run({verb, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("  mrl-index " + verb + " --"));
    EXPECT_THAT(help.err, IsEmpty());
    const Finished version = Run({verb, "--version"});
    EXPECT_EQ(version.code, 0) << verb << version.err;
    EXPECT_THAT(version.out, StartsWith("mrl-index "));
  }
}

TEST_F(Usage, MissingAndUnknownWordsAreWrong) {
  ExpectWrong({}, "A subcommand is required");
  ExpectWrong({"destroy"}, "A subcommand is required");
  ExpectWrong({"build"}, "--input is required");
  ExpectWrong({"build", "--input", "a.npy"}, "--output is required");
  ExpectWrong({"verify", "--index", "x", "--deep"}, "--deep");
  ExpectWrong({"search", "--index", "x", "--id", "1", "-k", "many"}, "-k");
}

TEST_F(Usage, WordsOfAClosedListAreChecked) {
  for (const std::string option : {"--metric", "--storage", "--transform", "--coarse"}) {
    ExpectWrong({"build", "--input", "a.npy", "--output", "b", option, "best"}, "best not in");
  }
}

TEST_F(Usage, OptionsThatExcludeEachOtherAreWrong) {
  ExpectWrong({"search", "--index", "x"}, "Exactly 1 option from [--id,--vector]");
  ExpectWrong({"search", "--index", "x", "--id", "1", "--vector", "a.npy"}, "2 were given");
  ExpectWrong({"search", "--index", "x", "--id", "1", "--row", "1"}, "--row requires --vector");
  ExpectWrong({"search", "--index", "x", "--id", "1", "--exact", "--funnel", "16:9"}, "excludes");
  ExpectWrong({"build", "--input", "a", "--output", "b", "--id-field", "id"},
              "--id-field requires --payloads");
  ExpectWrong({"build", "--input", "a", "--output", "b", "--payloads", "c", "--id-field", "id",
               "--ids", "d"},
              "excludes");
  ExpectWrong({"build", "--input", "a", "--output", "b", "--coarse", "faiss"}, "go together");
  ExpectWrong({"build", "--input", "a", "--output", "b", "--coarse-dims", "16"}, "go together");
  ExpectWrong({"index"}, "subcommand");
  ExpectWrong({"index", "add", "--index", "a"}, "kind");
  ExpectWrong({"build", "--input", "a", "--output", "b", "--coarse-dims", "16"}, "go together");
  ExpectWrong({"eval", "--index", "a", "--queries", "b", "--threads", "4", "--in-flight", "3"},
              "--in-flight is 3; at least --threads = 4 is needed");
}

TEST_F(Usage, AnUnknownInstructionSetIsWrong) {
  setenv("MRL_CPU", "abacus", 1);
  const Finished run = Run({"verify", "--index", "x"});
  unsetenv("MRL_CPU");
  EXPECT_EQ(run.code, 2);
  EXPECT_THAT(run.err, HasSubstr("MRL_CPU is unknown or not supported here; this CPU has scalar"));
}

}  // namespace
}  // namespace mrl::cli
