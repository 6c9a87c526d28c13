#include "server/rpc/error.h"

#include <gtest/gtest.h>

#include <string>

#include "base/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace mrl::server {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(Error, KeepsCodeAndMessage) {
  const grpc::Status status = ToGrpc(absl::DataLossError("segment 1 is damaged"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(), "segment 1 is damaged");
  google::rpc::ErrorInfo info;
  const google::rpc::Status details = DetailsOf(status);
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "DATA_LOSS");
  EXPECT_EQ(info.domain(), "mrl");
}

TEST(Error, NamesTheFieldOfABadRequest) {
  const grpc::Status status = ToGrpc(InvalidField("options.k", "k is 0"));
  google::rpc::BadRequest bad;
  const google::rpc::Status details = DetailsOf(status);
  ASSERT_EQ(details.details_size(), 2);
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  ASSERT_EQ(bad.field_violations_size(), 1);
  EXPECT_EQ(bad.field_violations(0).field(), "options.k");
  EXPECT_EQ(bad.field_violations(0).description(), "k is 0");
}

TEST(Error, TheInnermostFieldStays) {
  const absl::Status status = WithField(InvalidField("options.funnel_text", "empty"), "options");
  const google::rpc::Status details = DetailsOf(ToGrpc(status));
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "options.funnel_text");
}

TEST(Error, LongMessagesFitIntoTheTrailer) {
  const grpc::Status status = ToGrpc(absl::InvalidArgumentError(std::string(100'000, 'x')));
  EXPECT_LT(status.error_message().size() + status.error_details().size(), 8000u);
}

TEST(Error, TheFieldStaysWhereContextIsAdded) {
  const grpc::Status status = ToGrpc(Annotate(InvalidField("points[1].id", "id is empty"), "x"));
  EXPECT_EQ(status.error_message(), "x: id is empty");
  const google::rpc::Status details = DetailsOf(status);
  google::rpc::BadRequest bad;
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "points[1].id");
}

// Strings of Protobuf that are not UTF-8 cannot be read again.
TEST(Error, CharactersThatWereCutAreReplaced) {
  const grpc::Status status = ToGrpc(
      WithResource(absl::InvalidArgumentError("the name 'a\xc3' is cut"), "collection", "\xc3"));
  EXPECT_EQ(status.error_message(), "the name 'a?' is cut");
  EXPECT_EQ(DetailsOf(status).message(), "the name 'a?' is cut");
  std::string eszetts = "x";
  for (int i = 0; i < 1000; ++i) eszetts += "\xc3\x9f";
  const grpc::Status cut = ToGrpc(absl::InvalidArgumentError(eszetts));
  EXPECT_EQ(DetailsOf(cut).message(), cut.error_message());
  EXPECT_EQ(cut.error_message(), eszetts.substr(0, 1499) + "?…");
}

TEST(Error, OkHasNoDetails) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(WithField(absl::OkStatus(), "x").ok());
}

}  // namespace
}  // namespace mrl::server
