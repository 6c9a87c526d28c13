// Quotas of collections, warm-up and what SIGHUP takes anew, through real gRPC.
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mrl/v1/collection.grpc.pb.h"
#include "mrl/v1/point.grpc.pb.h"
#include "mrl/v1/server.grpc.pb.h"
#include "server/command_line.h"
#include "server/warm_up.h"
#include "tests/integration/operated.h"

namespace mrl {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

class QuotaLimits : public Operated {
 protected:
  void Configure(server::Config* config) override {
    WriteQuotas("quotas: []");
    config->quotas = folder_ / "quotas.yaml";
    config->data_dir = folder_ / "data";
  }
  void SetUp() override {
    Operated::SetUp();
    const auto channel =
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    collections_ = v1::CollectionService::NewStub(channel);
    points_ = v1::PointService::NewStub(channel);
    v1::CreateCollectionRequest create;
    create.set_name("notes");
    create.set_dim(kSampleDim);
    grpc::ClientContext context, alias_context;
    v1::Collection made;
    ASSERT_TRUE(collections_->CreateCollection(&context, create, &made).ok());
    v1::BatchUpdateAliasesRequest aliases;
    auto* change = aliases.add_changes();
    change->set_alias("latest");
    change->set_collection("notes");
    v1::BatchUpdateAliasesResponse named;
    ASSERT_TRUE(collections_->BatchUpdateAliases(&alias_context, aliases, &named).ok());
  }
  void WriteQuotas(const std::string& text) { std::ofstream(folder_ / "quotas.yaml") << text; }
  void Reload(const std::string& text) {
    WriteQuotas(text);
    server_->Reload(config_);
  }
  // Points `first` to `first + count - 1`.
  grpc::Status Upsert(const std::string& collection, int first, int count) {
    v1::UpsertPointsRequest request;
    request.set_collection(collection);
    for (int i = first; i < first + count; ++i) {
      v1::PointWrite* point = request.add_points();
      point->mutable_id()->set_number(static_cast<uint64_t>(i));
      const std::vector<float> vector = SampleVector(5, static_cast<uint32_t>(i));
      point->mutable_vector()->set_dtype(v1::DTYPE_F32);
      point->mutable_vector()->set_data(vector.data(), vector.size() * sizeof(float));
    }
    grpc::ClientContext context;
    v1::UpsertPointsResponse response;
    return points_->UpsertPoints(&context, request, &response);
  }
  static void ExpectQuota(const grpc::Status& status, const std::string& reason,
                          const std::string& words) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr(words));
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    google::rpc::ErrorInfo info;
    google::rpc::QuotaFailure quota;
    ASSERT_GE(details.details_size(), 2);
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_EQ(info.reason(), reason);
    ASSERT_TRUE(details.details(details.details_size() - 1).UnpackTo(&quota));
    EXPECT_EQ(quota.violations(0).subject(), "collection:notes");
  }

  std::unique_ptr<v1::CollectionService::Stub> collections_;
  std::unique_ptr<v1::PointService::Stub> points_;
};

TEST_F(QuotaLimits, RowsAreBoundedByWhateverNameAndWrittenOverFreely) {
  Reload("quotas: [{collection: notes, rows-max: 10}]");
  EXPECT_TRUE(Upsert("notes", 0, 10).ok());
  for (const char* name : {"notes", "latest"}) {
    ExpectQuota(Upsert(name, 9, 2), "COLLECTION_ROWS_LIMIT",
                "collection 'notes' has 10 points and 1 more were sent; its quota is 10");
  }
  EXPECT_TRUE(Upsert("latest", 0, 10).ok()) << "these points are there already";
  EXPECT_EQ(Metric("mrl_rpc_refused_total{reason=\"COLLECTION_ROWS_LIMIT\"}"), 2);
  Reload("quotas: []");
  EXPECT_TRUE(Upsert("notes", 10, 5).ok());
}

TEST_F(QuotaLimits, AStreamOfWritesIsBoundedToo) {
  Reload("quotas: [{collection: notes, rows-max: 1}]");
  grpc::ClientContext context;
  const auto stream = points_->WritePoints(&context);
  v1::WritePointsRequest request;
  request.set_collection("notes");
  for (uint64_t id : {1, 2}) {
    v1::PointWrite* point = request.add_upserts();
    point->mutable_id()->set_number(id);
    point->mutable_vector()->set_dtype(v1::DTYPE_F32);
    point->mutable_vector()->set_data(std::string(kSampleDim * 4, 'x'));
  }
  stream->Write(request);
  stream->WritesDone();
  v1::WritePointsResponse response;
  EXPECT_FALSE(stream->Read(&response));
  ExpectQuota(stream->Finish(), "COLLECTION_ROWS_LIMIT", "2 more were sent; its quota is 1");
}

TEST_F(QuotaLimits, MemoryIsBounded) {
  Reload("quotas: [{collection: '*', memory-bytes-max: 1000}]");
  ExpectQuota(Upsert("notes", 0, 10), "COLLECTION_MEMORY_LIMIT",
              "2560 more were sent; its quota is 1000");
}

TEST_F(QuotaLimits, ARateIsSharedByAllNamesAndNotByOtherCollections) {
  Reload("quotas: [{collection: notes, requests-per-s: 0.001, burst: 2}]");
  EXPECT_TRUE(Upsert("notes", 0, 1).ok());
  EXPECT_TRUE(Upsert("latest", 1, 1).ok());
  const absl::Status refused = client().Search("latest", SampleVector(5, 0)).status();
  ExpectError(refused, StatusCode::kResourceExhausted,
              "collection 'notes' is above its limit of 0.001 calls a second");
  EXPECT_TRUE(client().Search("sample", SampleVector(5, 0)).ok());
  ExpectError(client().Search("nope", SampleVector(5, 0)).status(), StatusCode::kNotFound, "nope");
}

TEST_F(QuotaLimits, ABrokenFileChangesNothingAndStopsAStart) {
  Reload("quotas: [{collection: notes, rows-max: 1}]");
  Reload("quotas: [");
  ExpectQuota(Upsert("notes", 0, 2), "COLLECTION_ROWS_LIMIT", "its quota is 1");
  server::Config config = config_;
  config.data_dir.clear();
  ExpectError(server::Server::Start(FileSystem::Posix(), config).status(),
              StatusCode::kInvalidArgument, "quotas.yaml");
}

TEST_F(QuotaLimits, MetricsShowTheLogTheTailAndCompaction) {
  const auto of_notes = [this](const std::string& name) {
    return Metric(name + "{collection=\"notes\"}");
  };
  EXPECT_EQ(of_notes("mrl_tail_rows"), 0);
  const double log_before = of_notes("mrl_wal_bytes");
  ASSERT_TRUE(Upsert("notes", 0, 100).ok());
  EXPECT_EQ(of_notes("mrl_tail_rows"), 100);
  EXPECT_EQ(of_notes("mrl_wal_unsynced"), 0);
  EXPECT_GE(of_notes("mrl_wal_bytes"), log_before + 100.0 * kSampleDim * 4);
  EXPECT_GE(of_notes("mrl_collection_disk_bytes"), of_notes("mrl_wal_bytes"));
  const std::string seals = "mrl_compactions_total{collection=\"notes\",kind=\"seal\"}";
  EXPECT_EQ(Metric(seals), 0);
  const auto live = server_->registry().FindLive("notes");
  ASSERT_TRUE(live.ok()) << live.status();
  ASSERT_TRUE((*live)->Seal().ok());
  EXPECT_EQ(Metric(seals), 1);
  EXPECT_EQ(of_notes("mrl_compaction_rows_total"), 100);
  EXPECT_GT(of_notes("mrl_compaction_seconds_total"), 0);
  EXPECT_EQ(of_notes("mrl_compactions_running"), 0);
  EXPECT_EQ(of_notes("mrl_tail_rows"), 0);
  EXPECT_EQ(of_notes("mrl_segments"), 1);
}

class Reloaded : public Operated {
 protected:
  // Waits until health says so of a collection.
  void AwaitHealth(const std::string& collection, bool serving) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (client().CheckHealth(collection).value_or(!serving) != serving &&
           absl::Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(client().CheckHealth(collection).value_or(!serving), serving) << collection;
  }
};

TEST_F(Reloaded, IndexesComeAndGoByTheList) {
  BuildSample(folder_ / "other", 9, 300);
  server::Config fresh = config_;
  fresh.indexes = {{"other", folder_ / "other"}};
  server_->Reload(fresh);
  AwaitHealth("other", true);
  EXPECT_TRUE(client().Search("other", SampleVector(9, 0)).ok());
  AwaitHealth("sample", false);
  EXPECT_EQ(client().Search("sample", SampleVector(9, 0)).status().code(), StatusCode::kNotFound);
  fresh.indexes = {{"other", folder_ / "sample"}};
  server_->Reload(fresh);
  Await("mrl_collection_rows{collection=\"other\"}", kSampleRows);
}

TEST_F(Reloaded, GetConfigSaysWhatIsInForce) {
  const auto settings = [](const std::string& level, const std::string& port) {
    const char* flags[] = {"mrl-server", "--log-level", level.c_str(), "--grpc-port", port.c_str()};
    const auto line = server::ParseCommandLine(
        std::size(flags), flags, [](const std::string&) -> const char* { return nullptr; });
    return line->settings;
  };
  config_.indexes.clear();
  auto server = server::Server::Start(FileSystem::Posix(), config_, settings("error", "0"));
  ASSERT_TRUE(server.ok()) << server.status();
  (*server)->Reload(config_, settings("info", "7777"));
  (*server)->Reload(config_, settings("warn", "7777"));
  const auto stub = v1::ServerService::NewStub(
      grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::ServerConfig config;
  ASSERT_TRUE(stub->GetConfig(&context, {}, &config).ok());
  std::string shown;
  for (const auto& setting : config.settings()) {
    if (setting.key() == "log-level" || setting.key() == "grpc-port") {
      shown += setting.key() + "=" + setting.value() + ";";
    }
  }
  EXPECT_EQ(shown, "grpc-port=0;log-level=warn;") << "a port needs a new start, the level does not";
}

TEST_F(Reloaded, AWarmUpSearchesAndCountsNoCall) {
  const auto collection = server_->registry().Find("sample");
  ASSERT_TRUE(collection.ok()) << collection.status();
  EXPECT_EQ(server::WarmUp("sample", **collection, 7, [] { return false; }), 7);
  EXPECT_EQ(server::WarmUp("sample", **collection, 7, [] { return true; }), 0);
  EXPECT_EQ(Ended("Search", "OK"), 0);
}

}  // namespace
}  // namespace mrl
