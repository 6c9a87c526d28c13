// inspect and verify.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/unit/cli/program.h"

namespace mrl::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;

class Directory : public Program {};

TEST_F(Directory, InspectTellsWhatItHolds) {
  const std::string index = BuildIndex();
  const Finished text = Run({"inspect", "--index", index});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("200 rows of 32 dimensions, metric cosine, storage f32"));
  EXPECT_THAT(text.out, HasSubstr("segment 1: scan 16b8,32b8"));
  const nlohmann::json json =
      nlohmann::json::parse(Run({"inspect", "--index", index, "--json"}).out);
  EXPECT_THAT(json["uuid"].get<std::string>(), MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(json["rows"], kRows);
  EXPECT_EQ(json["levels"][0]["bytes"], kRows * 16 * sizeof(float));
  EXPECT_GT(json["memory_bytes"], json["hot_bytes"]);
  uint64_t segment_bytes = 0;
  for (const auto& file : json["files"]) {
    if (file["name"] == "segments/000001.seg") segment_bytes = file["bytes"];
  }
  EXPECT_EQ(segment_bytes, ReadFile("index/segments/000001.seg").size());
}

TEST_F(Directory, VerifySaysOk) {
  const std::string index = BuildIndex();
  const Finished run = Run({"verify", "--index", index});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_EQ(run.out, index + ": ok\n");
}

TEST_F(Directory, VerifyNamesTheDamagedPart) {
  const std::string index = BuildIndex();
  // The first section begins at byte 4096; what lies between sections belongs to none of them.
  for (const std::string name : {"segments/000001.seg", "segments/000001.scan.idx"}) {
    const std::string whole = ReadFile("index/" + name);
    std::string bytes = whole;
    bytes[4096] ^= 1;
    Write("index/" + name, bytes);
    const Finished run = Run({"verify", "--index", index});
    EXPECT_EQ(run.code, 65) << run.err;
    EXPECT_THAT(run.err, HasSubstr(name));
    EXPECT_THAT(run.out, IsEmpty());
    Write("index/" + name, whole);
  }
}

TEST_F(Directory, WhatIsNoCollectionIsNamed) {
  for (const std::string verb : {"inspect", "verify"}) {
    const Finished run = Run({verb, "--index", *this / "nowhere"});
    EXPECT_EQ(run.code, 74);
    EXPECT_THAT(run.err, HasSubstr("nowhere"));
  }
}

}  // namespace
}  // namespace mrl::cli
