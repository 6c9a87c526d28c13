// Peers that speak HTTP/2 and mean no good: after each the server still answers others.
//
// gRPC 1.51 has no defence of its own against rapid resets; this shows that they cost it no calls,
// not that they are cheap.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/integration/operated.h"

namespace mrl {
namespace {

// A connection that writes frames by hand.
class RawPeer {
 public:
  explicit RawPeer(const std::string& address) {
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in peer = {};
    peer.sin_family = AF_INET;
    peer.sin_port =
        htons(static_cast<uint16_t>(std::atoi(address.substr(address.find(':') + 1).c_str())));
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0;
    const timeval limit = {10, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~RawPeer() { close(socket_); }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  bool connected() const { return connected_; }
  void Greet() { Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(4, 0, 0, "")); }
  // False once the server has closed.
  bool Write(const std::string& bytes) {
    return send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Reads until the server closes; false when it does not within 10 s of silence.
  bool ReadToEnd() {
    char buffer[65536];
    ssize_t bytes = 1;
    while (bytes > 0) bytes = recv(socket_, buffer, sizeof buffer, 0);
    return bytes == 0 || errno == ECONNRESET;
  }

  static std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& body) {
    std::string frame;
    for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(body.size() >> shift));
    frame.push_back(static_cast<char>(type));
    frame.push_back(static_cast<char>(flags));
    for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
    return frame + body;
  }
  // HEADERS of a call, without its end.
  static std::string Call(uint32_t stream) {
    std::string headers = "\x83\x86";  // :method POST, :scheme http
    Literal(":path", "/mrl.v1.SearchService/Search", &headers);
    Literal(":authority", "a", &headers);
    Literal("content-type", "application/grpc", &headers);
    Literal("te", "trailers", &headers);
    return Frame(1, 4, stream, headers);
  }

 private:
  static void Literal(const std::string& name, const std::string& value, std::string* out) {
    out->push_back('\0');
    out->push_back(static_cast<char>(name.size()));
    *out += name;
    out->push_back(static_cast<char>(value.size()));
    *out += value;
  }

  int socket_ = -1;
  bool connected_ = false;
};

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
      burst += RawPeer::Call(stream) + RawPeer::Frame(3, 0, stream, std::string("\0\0\0\x08", 4));
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
