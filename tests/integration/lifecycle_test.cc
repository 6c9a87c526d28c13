// Start and drain, as a supervisor, a balancer and a caller see them.
#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "tests/integration/operated.h"
#include "tests/support/quick_disk.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;

// Files below `sample` are not opened before Release(). Counts those below `later` that were
// opened.
class HeldFiles : public test::QuickFiles {
 public:
  absl::StatusOr<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    if (path.find("/sample/") != std::string::npos) {
      if (!asked_.exchange(true)) held_.Notify();
      released_.WaitForNotification();
    }
    if (path.find("/later/") != std::string::npos) ++opened_;
    return QuickFiles::Open(path);
  }
  // Until the first is to be opened.
  void AwaitHeld() { held_.WaitForNotification(); }
  void Release() { released_.Notify(); }
  int opened() const { return opened_; }

 private:
  absl::Notification held_, released_;
  std::atomic<bool> asked_{false};
  std::atomic<int> opened_{0};
};

class Lifecycle : public Operated {};

TEST_F(Lifecycle, IsNotReadyWhileCollectionsAreOpened) {
  const std::string http = server_->http_address(), grpc = server_->address();
  const auto port = [](const std::string& address) {
    return std::atoi(address.substr(address.find(':') + 1).c_str());
  };
  config_.http_port = port(http);
  config_.grpc_port = port(grpc);
  server_.reset();
  HeldFiles files;
  std::thread starter([&] {
    auto started = server::Server::Start(files, config_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  });
  client::Client client(grpc);
  absl::Status refused;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (refused.message().find("starting") == std::string::npos && absl::Now() < deadline) {
    refused = client.Search("sample", SampleVector(7, 0)).status();
  }
  ExpectError(refused, absl::StatusCode::kUnavailable,
              "the server is starting: it opens its collections");
  EXPECT_FALSE(client.CheckHealth().value_or(true));
  const httplib::Result page = httplib::Client("http://" + http).Get("/readyz");
  files.Release();
  starter.join();
  ASSERT_NE(server_, nullptr);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 503);
  EXPECT_THAT(page->body, HasSubstr("not ready: starting\n"));
  EXPECT_TRUE(client.CheckHealth().value_or(false));
  EXPECT_EQ(Get("/readyz")->status, 200);
  EXPECT_TRUE(client.Search("sample", SampleVector(7, 0)).ok());
}

TEST_F(Lifecycle, AStopWhileACollectionIsOpenedEndsTheStartAfterIt) {
  BuildSample(folder_ / "later", 3);
  // In order of names.
  config_.indexes = {{"sample", folder_ / "sample"}, {"z", folder_ / "later"}};
  HeldFiles files;
  std::atomic<bool> stop{false};
  absl::Status ended;
  std::thread starter([&] {
    ended = server::Server::Start(files, config_, {}, [&] { return stop.load(); }).status();
  });
  files.AwaitHeld();
  stop = true;
  files.Release();
  starter.join();
  ExpectError(ended, absl::StatusCode::kCancelled, "stopped while it started");
  EXPECT_EQ(files.opened(), 0) << "a collection was opened after the stop";
}

TEST_F(Lifecycle, AStopEndsTheStartBeforeTheNextCollectionOfTheDataFolder) {
  config_.indexes.clear();
  config_.data_dir = folder_ / "data";
  server_.reset();
  auto started = server::Server::Start(FileSystem::Posix(), config_);
  ASSERT_TRUE(started.ok()) << started.status();
  client::Client client((*started)->address());
  client::NewCollection wanted;
  wanted.name = "written";
  wanted.dim = 64;
  wanted.ladder = "16,64";
  const auto made = client.CreateCollection(wanted);
  ASSERT_TRUE(made.ok()) << made.status();
  started->reset();
  const absl::Status ended =
      server::Server::Start(FileSystem::Posix(), config_, {}, [] { return true; }).status();
  ExpectError(ended, absl::StatusCode::kCancelled, "stopped before every collection was open");
}

TEST_F(Lifecycle, ADrainEndsAReloadBeforeTheNextCollection) {
  BuildSample(folder_ / "later", 3);
  HeldFiles files;
  config_.indexes = {{"z", folder_ / "later"}};
  auto started = server::Server::Start(files, config_);
  ASSERT_TRUE(started.ok()) << started.status();
  const int opened = files.opened();
  EXPECT_GT(opened, 0);
  config_.indexes.insert(config_.indexes.begin(), {"sample", folder_ / "sample"});
  (*started)->Reload(config_);
  files.AwaitHeld();
  (*started)->Drain();
  files.Release();
  started->reset();
  EXPECT_EQ(files.opened(), opened) << "a collection was opened again after the drain";
}

class DrainDelay : public Operated {
 protected:
  void Configure(server::Config* config) override { config->drain_delay_ms = 3000; }
};

TEST_F(DrainDelay, IsAnsweredWhileBalancersAreToldToGoElsewhere) {
  std::thread drain([this] { server_->Drain(); });
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (client().CheckHealth().value_or(false) && absl::Now() < deadline) {
  }
  const auto healthy = client().CheckHealth();
  const auto answered = client().Search("sample", SampleVector(7, 0));
  const httplib::Result page = Get("/readyz");
  drain.join();
  EXPECT_EQ(healthy.value_or(true), false) << healthy.status();
  EXPECT_TRUE(answered.ok()) << answered.status();
  ASSERT_TRUE(page);
  EXPECT_EQ(page->status, 503);
  EXPECT_THAT(page->body, HasSubstr("not ready: draining\n"));
  EXPECT_TRUE(absl::IsUnavailable(client().Search("sample", SampleVector(7, 0)).status()));
  EXPECT_THAT(Get("/readyz")->body, HasSubstr("not ready: closed\n"));
}

}  // namespace
}  // namespace mrl
