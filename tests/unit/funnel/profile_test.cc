#include "index/funnel/profile.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::funnel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ProfileVersion Version(const std::string& funnel, uint32_t k = 10) {
  return {.version = 0, .funnel = funnel, .k = k, .created_unix_s = 1'800'000'000};
}

Certificate Certified() {
  Certificate certificate;
  certificate.funnel = "scan/16:200,64:10";
  certificate.k = 10;
  certificate.queries = 200;
  certificate.recall = 0.9;
  certificate.low = 0.88;
  certificate.high = 0.92;
  certificate.lost = {0.1, 0};
  certificate.sequence = 1000;
  certificate.rows = 500;
  return certificate;
}

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

std::vector<uint32_t> Numbers(const Profile& profile) {
  std::vector<uint32_t> numbers;
  for (const ProfileVersion& version : profile.versions) numbers.push_back(version.version);
  return numbers;
}

class Profiles : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(set_.Create("fast", Version("16:100,64:10")).ok());
    ASSERT_TRUE(set_.AddVersion("fast", Version("16:200,64:10")).ok());
  }
  absl::StatusOr<ChosenPlan> Choose(absl::string_view name, uint32_t k = 10,
                                    uint32_t query_dims = 64) const {
    PlanInput input;
    input.schema = &schema_;
    input.kinds = {"scan"};
    input.k = k;
    input.query_dims = query_dims;
    return ChoosePlan(set_, name, input);
  }

  Schema schema_ = {
      .dim = 64, .ladder = {16, 32, 64}, .rotation = {}, .codes = {{16, 8}, {32, 8}}, .fields = {}};
  ProfileSet set_;
};

TEST_F(Profiles, AVersionServesAsSoonAsItIsSaved) {
  const Profile& fast = *set_.Find("fast");
  EXPECT_EQ(fast.serving, 2u);
  EXPECT_EQ(fast.served().funnel, "16:200,64:10");
  EXPECT_THAT(Numbers(fast), ElementsAre(1, 2));
  EXPECT_TRUE(set_.Validate().ok());
}

TEST_F(Profiles, RollBackLetsTheVersionBeforeServeOrTheOneNamed) {
  ASSERT_TRUE(set_.AddVersion("fast", Version("16:300,64:10")).ok());
  ASSERT_TRUE(set_.RollBack("fast", 0).ok());
  EXPECT_EQ(set_.Find("fast")->serving, 2u);
  ASSERT_TRUE(set_.RollBack("fast", 0).ok());
  EXPECT_EQ(set_.Find("fast")->serving, 1u);
  ExpectError(set_.RollBack("fast", 0), absl::StatusCode::kNotFound, "no version before 1");
  ASSERT_TRUE(set_.RollBack("fast", 3).ok());
  EXPECT_EQ(set_.Find("fast")->served().funnel, "16:300,64:10");
  ExpectError(set_.RollBack("fast", 9), absl::StatusCode::kNotFound,
              "has no version 9; it has 1, 2, 3");
  // The next version has a number of its own, whichever serves.
  ASSERT_TRUE(set_.RollBack("fast", 1).ok());
  ASSERT_TRUE(set_.AddVersion("fast", Version("16:50,64:10")).ok());
  EXPECT_THAT(Numbers(*set_.Find("fast")), ElementsAre(1, 2, 3, 4));
}

TEST_F(Profiles, StandInOrderOfNames) {
  for (const char* name : {"zz", "a-1", "m_2"}) {
    ASSERT_TRUE(set_.Create(name, Version("64")).ok());
  }
  std::vector<std::string> names;
  for (const Profile& profile : set_.profiles) names.push_back(profile.name);
  EXPECT_THAT(names, ElementsAre("a-1", "fast", "m_2", "zz"));
  EXPECT_TRUE(set_.Validate().ok());
}

TEST_F(Profiles, BadOnesAreRefused) {
  ExpectError(set_.Create("fast", Version("64")), absl::StatusCode::kAlreadyExists,
              "profile 'fast' exists already");
  for (const char* name : {"", "Fast", "_x", "a b", "a/b"}) {
    ExpectError(set_.Create(name, Version("64")), absl::StatusCode::kInvalidArgument,
                "is no name of a profile; 1 to 63 of a-z");
  }
  ExpectError(set_.Create(std::string(64, 'a'), Version("64")), absl::StatusCode::kInvalidArgument,
              "is no name of a profile");
  ExpectError(set_.Create("x", Version("64:")), absl::StatusCode::kInvalidArgument, "funnel `64:`");
  ExpectError(set_.Create("x", Version("64", 10'001)), absl::StatusCode::kInvalidArgument,
              "k is 10001; 1 to 10000");
  ProfileVersion noted = Version("64");
  noted.note = std::string(1001, 'n');
  ExpectError(set_.AddVersion("fast", noted), absl::StatusCode::kInvalidArgument,
              "the note has 1001 bytes; the limit is 1000");
  ExpectError(set_.AddVersion("slow", Version("64")), absl::StatusCode::kNotFound,
              "profile 'slow' does not exist; these do: 'fast'");
  ExpectError(set_.SetShadow("fast", 1.5), absl::StatusCode::kInvalidArgument,
              "share is 1.5; 0 to 1");
}

TEST_F(Profiles, HaveLimits) {
  for (size_t i = 1; i < ProfileSet::kProfilesMax; ++i) {
    ASSERT_TRUE(set_.Create(absl::StrCat("p", i), Version("64")).ok());
  }
  ExpectError(set_.Create("more", Version("64")), absl::StatusCode::kResourceExhausted,
              "the collection has 64 profiles, which is the limit");
  for (size_t i = 0; i < ProfileSet::kVersionsMax; ++i) {
    ASSERT_TRUE(set_.AddVersion("fast", Version("64")).ok());
  }
  const std::vector<uint32_t> numbers = Numbers(*set_.Find("fast"));
  EXPECT_EQ(numbers.size(), ProfileSet::kVersionsMax);
  EXPECT_EQ(numbers.front(), 3u);  // the oldest have gone
  EXPECT_EQ(numbers.back(), 102u);
}

TEST_F(Profiles, TheDefaultIsNotDeletedAndAShadowEnds) {
  ASSERT_TRUE(set_.SetDefault("fast").ok());
  ASSERT_TRUE(set_.SetShadow("fast", 0.1).ok());
  ExpectError(set_.Delete("fast"), absl::StatusCode::kFailedPrecondition, "is the default");
  ASSERT_TRUE(set_.SetDefault("").ok());
  ASSERT_TRUE(set_.Delete("fast").ok());
  EXPECT_EQ(set_, ProfileSet());
  ExpectError(set_.Delete("fast"), absl::StatusCode::kNotFound, "the collection has none");
}

TEST_F(Profiles, AreFoundDamaged) {
  ProfileSet damaged = set_;
  damaged.profiles[0].serving = 7;
  ExpectError(damaged.Validate(), absl::StatusCode::kInvalidArgument, "has no version 7");
  damaged = set_;
  damaged.profiles[0].versions[1].version = 1;
  ExpectError(damaged.Validate(), absl::StatusCode::kInvalidArgument, "has version 1 after 1");
  damaged = set_;
  damaged.default_name = "gone";
  EXPECT_EQ(damaged.Validate().code(), absl::StatusCode::kNotFound);
  damaged = set_;
  damaged.shadow_share = 0.5;
  ExpectError(damaged.Validate(), absl::StatusCode::kInvalidArgument,
              "the shadow '' has the share 0.5");
}

TEST_F(Profiles, KeepTheNewestCertificateOfAVersion) {
  ASSERT_TRUE(set_.SetCertificate("fast", 1, Certified()).ok());
  EXPECT_EQ(set_.Find("fast")->Find(1)->certificate, Certified());
  EXPECT_FALSE(set_.Find("fast")->served().certificate.has_value());
  ExpectError(set_.SetCertificate("fast", 9, Certified()), absl::StatusCode::kNotFound,
              "has no version 9");
  Certificate impossible = Certified();
  impossible.low = 0.95;
  ExpectError(set_.SetCertificate("fast", 1, impossible), absl::StatusCode::kInvalidArgument,
              "a certificate says recall 0.9 in 0.95 to 0.92");
  impossible = Certified();
  impossible.lost = {0.5};
  ExpectError(set_.SetCertificate("fast", 1, impossible), absl::StatusCode::kInvalidArgument,
              "losses that add up to 1.4");
  impossible = Certified();
  impossible.change_max = 0;
  ExpectError(set_.SetCertificate("fast", 1, impossible), absl::StatusCode::kInvalidArgument,
              "is 0; above 0 to 1");
}

TEST(ACertificate, ExpiresWhenMoreThanItsShareWasWritten) {
  const Certificate certificate = Certified();
  EXPECT_EQ(certificate.ChangedShare(900), 0);
  EXPECT_EQ(certificate.ChangedShare(1000), 0);
  EXPECT_DOUBLE_EQ(certificate.ChangedShare(1050), 0.1);
  EXPECT_FALSE(certificate.Expired(1050));
  EXPECT_TRUE(certificate.Expired(1051));
}

TEST_F(Profiles, GivePlansByNameAndByDefault) {
  const auto named = Choose("fast");
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->plan.ToText(), "scan/16:200,64:10");
  EXPECT_EQ(named->profile, "fast");
  EXPECT_EQ(named->version, 2u);
  const auto built_in = Choose("");
  ASSERT_TRUE(built_in.ok()) << built_in.status();
  EXPECT_EQ(built_in->version, 0u);
  EXPECT_EQ(built_in->profile, "");
  ASSERT_TRUE(set_.SetDefault("fast").ok());
  const auto by_default = Choose("");
  ASSERT_TRUE(by_default.ok()) << by_default.status();
  EXPECT_EQ(by_default->plan, named->plan);
  EXPECT_EQ(by_default->version, 2u);
  ExpectError(Choose("slow").status(), absl::StatusCode::kNotFound, "profile 'slow'");
}

TEST_F(Profiles, KeepsGrowWithALargerKOnly) {
  const auto larger = Choose("fast", 25);
  ASSERT_TRUE(larger.ok()) << larger.status();
  EXPECT_EQ(larger->plan.ToText(), "scan/16:500,64:25");
  const auto smaller = Choose("fast", 3);
  ASSERT_TRUE(smaller.ok()) << smaller.status();
  EXPECT_EQ(smaller->plan.ToText(), "scan/16:200,64:3");
}

TEST_F(Profiles, TheDefaultLeavesShortQueriesToTheBuiltInRule) {
  ASSERT_TRUE(set_.SetDefault("fast").ok());
  const auto short_query = Choose("", 10, 32);
  ASSERT_TRUE(short_query.ok()) << short_query.status();
  EXPECT_EQ(short_query->version, 0u);
  EXPECT_EQ(short_query->plan.stages.back().dims, 32u);
  ExpectError(Choose("fast", 10, 32).status(), absl::StatusCode::kInvalidArgument,
              "profile 'fast' version 2: stage 2: 64 dims, the query has 32");
}

TEST_F(Profiles, AProfileAndAFunnelAreOneTooMany) {
  PlanInput input;
  input.schema = &schema_;
  input.kinds = {"scan"};
  input.query_dims = 64;
  input.exact = true;
  ExpectError(ChoosePlan(set_, "fast", input).status(), absl::StatusCode::kInvalidArgument,
              "profile 'fast' and exact search");
  input.exact = false;
  input.funnel = Funnel{.kind = "", .params = {}, .stages = {{.dims = 64, .bits = 0, .keep = 0}}};
  ExpectError(ChoosePlan(set_, "fast", input).status(), absl::StatusCode::kInvalidArgument,
              "profile 'fast' and a funnel");
  ASSERT_TRUE(set_.SetDefault("fast").ok());
  const auto own = ChoosePlan(set_, "", input);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->version, 0u);
  EXPECT_EQ(own->plan.ToText(), "scan/64:10");
}

}  // namespace
}  // namespace mrl::funnel
