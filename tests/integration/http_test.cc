// The HTTP port, as a probe and a scraper see it.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "tests/integration/operated.h"
#include "tests/integration/raw_peer.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpPort : public Operated {};

TEST_F(HttpPort, SaysThatItLives) {
  const httplib::Result page = Get("/livez");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->body, "alive\n");
}

TEST_F(HttpPort, IsReadyWithADamagedCollectionAndNamesIt) {
  const httplib::Result page = Get("/readyz");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  EXPECT_THAT(page->body, HasSubstr("ready: 1 collections are served\n"));
  EXPECT_THAT(page->body, HasSubstr("collection 'broken' is not served: "));
}

TEST_F(HttpPort, IsNotReadyWhileDraining) {
  server_->Drain();
  const httplib::Result page = Get("/readyz");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 503);
  EXPECT_THAT(page->body, HasSubstr("not ready: closed\n"));
}

TEST_F(HttpPort, SaysItsVersion) {
  const httplib::Result page = Get("/version");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->get_header_value("Content-Type"), "application/json");
  EXPECT_THAT(page->body, HasSubstr("\"version\":\"0.1.0\""));
}

TEST_F(HttpPort, OtherPathsAreNotFound) {
  const httplib::Result page = Get("/metrics/../etc");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 404);
}

TEST_F(HttpPort, CountsCallsByMethodAndCode) {
  client::SearchOptions options;
  options.funnel = "16:100,64:10";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client().Search("sample", SampleVector(7, i), options).ok());
  }
  EXPECT_FALSE(client().Search("nope", SampleVector(7, 0)).ok());
  EXPECT_EQ(Metric("mrl_rpc_total{code=\"OK\",method=\"Search\"}"), 3);
  EXPECT_EQ(Metric("mrl_rpc_total{code=\"NOT_FOUND\",method=\"Search\"}"), 1);
  EXPECT_EQ(Metric("mrl_rpc_duration_seconds_count{method=\"Search\"}"), 4);
  EXPECT_EQ(Metric("mrl_rpc_in_flight{method=\"Search\"}"), 0);
  EXPECT_EQ(Metric("mrl_queue_wait_seconds_count"), 4);
  EXPECT_EQ(Metric("mrl_funnel_stage_duration_seconds_count{stage=\"0\"}"), 3);
  EXPECT_EQ(Metric("mrl_funnel_stage_duration_seconds_count{stage=\"1\"}"), 3);
  EXPECT_EQ(Metric("mrl_funnel_stage_duration_seconds_count{stage=\"2\"}"), 0);
  EXPECT_EQ(Metric("mrl_rows_scanned_total"), 3.0 * kSampleRows);
}

TEST_F(HttpPort, ShowsCollectionsAndMemory) {
  EXPECT_EQ(Metric("mrl_collections_served"), 1);
  EXPECT_EQ(Metric("mrl_collections_damaged"), 1);
  EXPECT_EQ(Metric("mrl_collection_serving{collection=\"broken\"}"), 0);
  EXPECT_EQ(Metric("mrl_collection_rows{collection=\"sample\"}"), kSampleRows);
  EXPECT_EQ(Metric("mrl_collection_generation{collection=\"sample\"}"), 1);
  EXPECT_GE(Metric("mrl_collection_memory_bytes{collection=\"sample\",part=\"levels\"}"),
            kSampleRows * kSampleDim * 4.0);
  EXPECT_EQ(Metric("mrl_memory_used_bytes"),
            static_cast<double>(server_->registry().account().used_bytes()));
  EXPECT_EQ(Metric("mrl_server_state{state=\"serving\"}"), 1);
  EXPECT_EQ(Metric("mrl_queue_limit"), 1024);
}

TEST_F(HttpPort, AFailedReloadIsShown) {
  EXPECT_EQ(Metric("mrl_collection_reload_failed{collection=\"sample\"}"), 0);
  Damage(folder_ / "sample");
  EXPECT_FALSE(client().ReloadCollection("sample").ok());
  EXPECT_EQ(Metric("mrl_collection_reload_failed{collection=\"sample\"}"), 1);
  EXPECT_EQ(Metric("mrl_collection_serving{collection=\"sample\"}"), 1);
}

TEST_F(HttpPort, PromtoolFindsNothing) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "promtool (package prometheus) is not installed";
  }
  ASSERT_TRUE(client().Search("sample", SampleVector(7, 0)).ok());
  const httplib::Result page = Get("/metrics");
  ASSERT_TRUE(page);
  std::ofstream(folder_ / "metrics") << page->body;
  const std::string command = "promtool check metrics <" + (folder_ / "metrics") + " 2>&1";
  FILE* output = popen(command.c_str(), "r");
  ASSERT_NE(output, nullptr);
  std::string said;
  for (int c = fgetc(output); c != EOF; c = fgetc(output)) said.push_back(static_cast<char>(c));
  EXPECT_EQ(pclose(output), 0) << said;
  EXPECT_EQ(said, "");
}

TEST_F(HttpPort, ATakenPortIsNamed) {
  server::Config config;
  config.grpc_port = 0;
  const std::string address = server_->http_address();
  config.http_port = std::atoi(address.substr(address.find(':') + 1).c_str());
  ExpectError(server::Server::Start(FileSystem::Posix(), config).status(),
              absl::StatusCode::kUnavailable, "cannot listen on " + address + " for HTTP");
}

class HttpAddress : public HttpPort {
 protected:
  void Configure(server::Config* config) override {
    config->bind = "127.0.0.1";
    config->http_bind = "127.0.0.2";
  }
};

TEST_F(HttpAddress, IsItsOwn) {
  EXPECT_THAT(server_->address(), StartsWith("127.0.0.1:"));
  EXPECT_THAT(server_->http_address(), StartsWith("127.0.0.2:"));
  const httplib::Result page = Get("/livez");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 200);
  const std::string port = server_->http_address().substr(sizeof("127.0.0.2"));
  EXPECT_FALSE(httplib::Client("http://127.0.0.1:" + port).Get("/livez"));
}

// Clients that send a byte of a request now and then, and never its end.
class SlowClients {
 public:
  SlowClients(std::string address, size_t count) : address_(std::move(address)), count_(count) {
    Refill();
  }
  // Each sends one more byte.
  void Drip() {
    std::erase_if(peers_, [](const auto& peer) { return !peer->Write("x"); });
  }
  // New ones for those that the server has closed.
  void Refill() {
    while (peers_.size() < count_) {
      peers_.push_back(std::make_unique<RawPeer>(address_));
      peers_.back()->Write("GET /livez HTTP/1.1\r\nX: ");
    }
  }
  size_t open() const { return peers_.size(); }

 private:
  const std::string address_;
  const size_t count_;
  std::vector<std::unique_ptr<RawPeer>> peers_;
};

TEST_F(HttpPort, SlowClientsAreClosedAndKeepNoProbeWaiting) {
  SlowClients slow(server_->http_address(), 8);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (slow.open() > 0 && absl::Now() < deadline) {
    const httplib::Result page = Get("/livez");
    ASSERT_TRUE(page) << httplib::to_string(page.error());
    EXPECT_EQ(page->status, 200);
    absl::SleepFor(absl::Milliseconds(50));
    slow.Drip();
  }
  EXPECT_EQ(slow.open(), 0u);
}

TEST_F(HttpPort, MoreSlowClientsThanItHasPlacesKeepNoProbeOut) {
  SlowClients slow(server_->http_address(), 100);
  for (int i = 0; i < 50; ++i) {
    const httplib::Result page = Get("/livez");
    ASSERT_TRUE(page) << "probe " << i << ": " << httplib::to_string(page.error());
    EXPECT_EQ(page->status, 200);
    slow.Drip();
    slow.Refill();
  }
}

TEST_F(HttpPort, ARequestWithoutEndIsNotReadOn) {
  RawPeer peer(server_->http_address());
  ASSERT_TRUE(peer.Write("GET /livez HTTP/1.1\r\nX: "));
  EXPECT_FALSE(peer.Write(std::string(32 << 20, 'x')));
}

class NothingServed : public HttpPort {
 protected:
  void Configure(server::Config* config) override {
    config->indexes = {{"broken", folder_ / "broken"}};
    config->data_dir = folder_ / "data";
  }
  // What gRPC health says of the server itself.
  bool Health() {
    const auto serving = client().CheckHealth();
    EXPECT_TRUE(serving.ok()) << serving.status();
    return serving.value_or(false);
  }
  // Reload works behind the call.
  void AwaitHealth(bool serving) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    while (Health() != serving && absl::Now() < deadline) {
    }
    EXPECT_EQ(Health(), serving);
  }
};

TEST_F(NothingServed, IsNotReady) {
  const httplib::Result page = Get("/readyz");
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 503);
  EXPECT_THAT(page->body, HasSubstr("not ready: no collection is served\n"));
  EXPECT_EQ(Health(), false);
}

TEST_F(NothingServed, IsReadyOnceACollectionIsRepaired) {
  EXPECT_FALSE(client().ReloadCollection("broken").ok());
  EXPECT_EQ(Health(), false) << "it is still damaged";
  BuildSample(folder_ / "broken", 2);
  ASSERT_TRUE(client().ReloadCollection("broken").ok());
  EXPECT_EQ(Health(), true);
  EXPECT_EQ(Get("/readyz")->status, 200);
}

TEST_F(NothingServed, IsReadyOnceTheListHasAnIndexThatOpens) {
  config_.indexes.push_back({"sample", folder_ / "sample"});
  server_->Reload(config_);
  AwaitHealth(true);
  EXPECT_EQ(Get("/readyz")->status, 200);
  config_.indexes.pop_back();
  server_->Reload(config_);
  AwaitHealth(false);
  EXPECT_EQ(Get("/readyz")->status, 503);
  config_.indexes.clear();
  server_->Reload(config_);
  AwaitHealth(true);  // a server without collections lacks none
  EXPECT_EQ(Get("/readyz")->status, 200);
}

TEST_F(NothingServed, IsReadyWhileACollectionThatWasCreatedExists) {
  client::NewCollection wanted;
  wanted.name = "made";
  wanted.dim = 64;
  wanted.ladder = "16,64";
  const auto made = client().CreateCollection(wanted);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(Health(), true);
  EXPECT_EQ(Get("/readyz")->status, 200);
  ASSERT_TRUE(client().DeleteCollection("made").ok());
  EXPECT_EQ(Health(), false);
  EXPECT_EQ(Get("/readyz")->status, 503);
}

}  // namespace
}  // namespace mrl
