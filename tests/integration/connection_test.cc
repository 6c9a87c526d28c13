// How long the server keeps connections, with limits of a second in the place of minutes.
#include <string>

#include "tests/integration/raw_peer.h"
#include "tests/integration/served.h"

namespace mrl {
namespace {

constexpr std::chrono::seconds kPatience(60);

class Aging : public Served {
 protected:
  void Configure(server::Config* config) override { config->grpc_connection_age_ms = 1000; }
};

TEST_F(Aging, AnOldConnectionIsSentAway) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  EXPECT_TRUE(peer.ReadToGoAway(kPatience));
}

TEST_F(Aging, ItsClientLosesNoCall) {
  // Several ages long.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  int asked = 0;
  while (std::chrono::steady_clock::now() < end) {
    const auto answer = client().Search("sample", SampleVector(7, 0));
    ASSERT_TRUE(answer.ok()) << answer.status() << " after " << asked;
    ++asked;
  }
  EXPECT_GT(asked, 0);
}

class Idling : public Served {
 protected:
  void Configure(server::Config* config) override { config->grpc_connection_idle_ms = 1000; }
};

TEST_F(Idling, AConnectionWithoutCallsIsSentAway) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  EXPECT_TRUE(peer.ReadToGoAway(kPatience));
}

TEST_F(Idling, OneWithACallIsKept) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  peer.Write(RawPeer::Call(1));  // which waits for its message
  EXPECT_FALSE(peer.ReadToGoAway(std::chrono::seconds(5)));
}

TEST_F(Idling, ItsClientConnectsAgain) {
  RawPeer peer(server_->address());
  peer.Greet();
  ASSERT_TRUE(client().Search("sample", SampleVector(7, 0)).ok());
  ASSERT_TRUE(peer.ReadToGoAway(kPatience));  // by when the client's connection idled too
  EXPECT_TRUE(client().Search("sample", SampleVector(7, 0)).ok());
}

}  // namespace
}  // namespace mrl
