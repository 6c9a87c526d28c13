#include "tests/integration/bad_case.h"

#include <cstdio>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/point.pb.h"
#include "mrl/v1/search.pb.h"
#include "tests/integration/raw_call.h"

namespace mrl {
namespace {

using grpc::StatusCode;

constexpr int kCasesMin = 2500;
int all_cases = 0;

class CountsCases : public ::testing::Environment {
 public:
  void TearDown() override {
    if (all_cases == 0) return;
    std::printf("%d cases of bad input in tables\n", all_cases);
    if (::testing::GTEST_FLAG(filter) != "*") return;
    EXPECT_GE(all_cases, kCasesMin);
  }
};
[[maybe_unused]] const auto* const counts_cases =
    ::testing::AddGlobalTestEnvironment(new CountsCases);

}  // namespace

void BadCase::SetUp() {
  Served::SetUp();
  channel_ = UnlimitedChannel(server_->address());
  // A connection of its own: HTTP/2 may close the one that broke its limits.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  good_channel_ = UnlimitedChannel(server_->address(), arguments);
  v1::SearchRequest good;
  good.set_collection("sample");
  good.mutable_vector()->set_data(BytesOf(SampleVector(7, 0)));
  good.mutable_vector()->set_dtype(v1::DTYPE_F32);
  good_search_ = good.SerializeAsString();
}

BadCase::~BadCase() {
  RecordProperty("cases", cases_);
  all_cases += cases_;
}

grpc::Status BadCase::Send(const std::string& path, const std::string& request) {
  return RawCall(channel_, path, request).status;
}

grpc::Status BadCase::Send(const std::string& method, const google::protobuf::Message& request) {
  return Send(absl::StrCat("/mrl.v1.", method), request.SerializeAsString());
}

void BadCase::Expect(const grpc::Status& status, StatusCode code, const std::string& words,
                     const std::string& what) {
  ++cases_;
  ASSERT_NE(words, "") << what << " says nothing";
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr(words)) << what;
  EXPECT_LT(status.error_message().size(), 2000u) << what;
  // A string that is not UTF-8 makes the details unreadable.
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details())) << what;
  if (details.code() != 0) {
    EXPECT_EQ(details.message(), status.error_message()) << what;
  }
  ExpectCode(status, code, what);
}

void BadCase::ExpectCode(const grpc::Status& status, StatusCode code, const std::string& what) {
  EXPECT_EQ(status.error_code(), code) << what << ": " << status.error_message();
  const RawReply good = RawCall(good_channel_, "/mrl.v1.SearchService/Search", good_search_);
  ASSERT_TRUE(good.status.ok()) << "after " << what << ": " << good.status.error_message();
}

void BadLiveCase::Configure(server::Config* config) { config->data_dir = folder_ / "data"; }

void BadLiveCase::SetUp() {
  BadCase::SetUp();
  v1::CreateCollectionRequest create;
  create.set_dim(kSampleDim);
  create.set_name("halves");
  create.set_storage(v1::STORAGE_TYPE_F16);
  create.set_metric(v1::METRIC_INNER_PRODUCT);
  ASSERT_TRUE(Send("CollectionService/CreateCollection", create).ok());
  create.set_name("notes");
  create.clear_storage();
  create.clear_metric();
  const std::pair<const char*, v1::FieldType> fields[] = {
      {"word", v1::FIELD_TYPE_KEYWORD}, {"author.name", v1::FIELD_TYPE_KEYWORD},
      {"n", v1::FIELD_TYPE_INT},        {"x", v1::FIELD_TYPE_FLOAT},
      {"flag", v1::FIELD_TYPE_BOOL},    {"at", v1::FIELD_TYPE_DATETIME}};
  for (const auto& [name, type] : fields) {
    v1::Field* field = create.add_fields();
    field->set_name(name);
    field->set_type(type);
  }
  ASSERT_TRUE(Send("CollectionService/CreateCollection", create).ok());
  v1::UpsertPointsRequest upsert;
  upsert.set_collection("notes");
  for (uint32_t i = 0; i < kNotes; ++i) {
    v1::PointWrite* point = upsert.add_points();
    point->mutable_id()->set_number(i);
    point->mutable_vector()->set_data(BytesOf(SampleVector(9, i)));
    point->mutable_vector()->set_dtype(v1::DTYPE_F32);
    point->set_payload_json(absl::StrCat(R"({"word":"w)", i, R"(","n":)", i, "}"));
  }
  ASSERT_TRUE(Send("PointService/UpsertPoints", upsert).ok());
}

void BadLiveCase::TearDown() {
  for (const auto& [name, points, sequence] :
       {std::tuple("notes", kNotes, kNotes), std::tuple("halves", 0, 0)}) {
    v1::CountPointsRequest count;
    count.set_collection(name);
    const RawReply reply =
        RawCall(channel_, "/mrl.v1.PointService/CountPoints", count.SerializeAsString());
    ASSERT_TRUE(reply.status.ok()) << reply.status.error_message();
    v1::CountPointsResponse counted;
    ASSERT_TRUE(counted.ParseFromString(reply.messages.at(0)));
    EXPECT_EQ(counted.points(), static_cast<uint64_t>(points)) << name;
    EXPECT_EQ(counted.sequence(), static_cast<uint64_t>(sequence)) << name;
  }
}

std::string BytesOf(const std::vector<float>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

}  // namespace mrl
