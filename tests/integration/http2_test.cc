// Peers that speak HTTP/2 and mean no good: after each the server still answers others.
//
// gRPC 1.51 has no defence of its own against rapid resets; this shows that they cost it no calls,
// not that they are cheap.
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/operated.h"
#include "tests/integration/raw_peer.h"

namespace mrl {
namespace {

class Http2 : public Operated {
 protected:
  void ExpectAlive() {
    client::Client fresh(server_->address());
    EXPECT_TRUE(fresh.Search("sample", SampleVector(7, 0)).ok());
    EXPECT_TRUE(client().Search("sample", SampleVector(7, 0)).ok());
  }
};

TEST_F(Http2, RapidResets) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  std::string burst;
  uint32_t stream = 1;
  for (int round = 0; round < 100; ++round) {
    burst.clear();
    for (int i = 0; i < 100; ++i, stream += 2) {
      burst += RawPeer::Call(stream) + RawPeer::Reset(stream);
    }
    if (!peer.Write(burst)) break;
  }
  ExpectAlive();
  EXPECT_EQ(Metric("mrl_rpc_in_flight{method=\"Search\"}"), 0);
}

TEST_F(Http2, PingFlood) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  const std::string ping = RawPeer::Frame(6, 0, 0, std::string(8, 'p'));
  std::string burst;
  for (int i = 0; i < 1000; ++i) burst += ping;
  peer.Write(burst);
  EXPECT_TRUE(peer.ReadToEnd()) << "who pings all the time is sent away";
  ExpectAlive();
}

TEST_F(Http2, HeadersWithoutEnd) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  bool open = peer.Write(RawPeer::Frame(1, 0, 1, "\x83"));
  const std::string header = std::string("\0\x01x\x7f\x81\x7d", 6) + std::string(16'000, 'y');
  for (int i = 0; open && i < 1000; ++i) open = peer.Write(RawPeer::Frame(9, 0, 1, header));
  ExpectAlive();
}

TEST_F(Http2, NoHttp2AtAll) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(10'000, '\0'),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(100'000, '\xff'),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + RawPeer::Frame(0, 0, 77, "data of no stream")}) {
    RawPeer peer(server_->address());
    ASSERT_TRUE(peer.connected());
    peer.Write(bytes);
    ExpectAlive();
  }
}

TEST_F(Http2, ConnectionsThatSayNothing) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 300; ++i) {
    peers.push_back(std::make_unique<RawPeer>(server_->address()));
    if (i % 2 == 0) peers.back()->Greet();
  }
  ExpectAlive();
}

TEST_F(Http2, ConnectionsThatComeAndGo) {
  for (int i = 0; i < 1000; ++i) RawPeer(server_->address()).Greet();
  ExpectAlive();
}

TEST_F(Http2, CallsThatNeverSendTheirMessage) {
  RawPeer peer(server_->address());
  ASSERT_TRUE(peer.connected());
  peer.Greet();
  for (uint32_t stream = 1; stream < 2000; stream += 2) {
    if (!peer.Write(RawPeer::Call(stream))) break;
  }
  ExpectAlive();
}

}  // namespace
}  // namespace mrl
