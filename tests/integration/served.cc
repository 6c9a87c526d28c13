#include "tests/integration/served.h"

#include "server/log.h"

namespace mrl {

void Served::SetUp() {
  server::SetUpLog("text", "critical");
  BuildSample(folder_ / "sample", 1);
  BuildSample(folder_ / "broken", 2);
  ASSERT_FALSE(HasFatalFailure());
  Damage(folder_ / "broken");
  config_.indexes = {{"sample", folder_ / "sample"}, {"broken", folder_ / "broken"}};
  config_.grpc_port = config_.http_port = 0;
  config_.workers = 2;
  config_.drain_timeout_ms = 1000;
  config_.log_level = "error";
  Configure(&config_);
  auto server = server::Server::Start(FileSystem::Posix(), config_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  wire_ = client::Connect(server_->address(), {});
  client_ = std::make_unique<client::Client>(server_->address());
}

std::vector<std::string> Served::Ids(const client::SearchResult& result) {
  std::vector<std::string> ids;
  for (const client::Hit& hit : result.hits) ids.push_back(client::ToString(hit.id));
  return ids;
}

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(message));
}

}  // namespace mrl
