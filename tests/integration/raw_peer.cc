#include "tests/integration/raw_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace mrl {
namespace {

constexpr timeval kPatience = {10, 0};
constexpr size_t kHeadBytes = 9;  // of a frame
constexpr uint8_t kHeaders = 1, kReset = 3, kGoAway = 7;
constexpr uint8_t kEndStream = 1;

void Literal(const std::string& name, const std::string& value, std::string* out) {
  out->push_back('\0');
  out->push_back(static_cast<char>(name.size()));
  *out += name;
  out->push_back(static_cast<char>(value.size()));
  *out += value;
}

}  // namespace

RawPeer::RawPeer(const std::string& address) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port =
      htons(static_cast<uint16_t>(std::atoi(address.substr(address.find(':') + 1).c_str())));
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0;
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
}

RawPeer::~RawPeer() {
  if (socket_ >= 0) close(socket_);
}

void RawPeer::Greet() { Write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + Frame(4, 0, 0, "")); }

bool RawPeer::Write(const std::string& bytes) {
  return send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

bool RawPeer::Answers() {
  const std::string ping = "answer!?";
  if (!Write(Frame(6, 0, 0, ping))) return false;
  std::string read;
  char buffer[4096];
  while (read.find(ping) == std::string::npos) {
    const ssize_t bytes = recv(socket_, buffer, sizeof buffer, 0);
    if (bytes <= 0) return false;
    read.append(buffer, static_cast<size_t>(bytes));
  }
  return true;
}

void RawPeer::SetPatience(std::chrono::seconds patience) {
  const timeval wait = {patience.count(), 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

RawPeer::End RawPeer::ReadUntil(
    const std::function<bool(uint8_t type, uint8_t flags, uint32_t stream)>& wanted) {
  const auto number = [this](size_t at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = at; i < at + bytes; ++i) value = value << 8 | static_cast<uint8_t>(unread_[i]);
    return value;
  };
  char buffer[65536];
  while (true) {
    while (unread_.size() >= kHeadBytes && unread_.size() >= kHeadBytes + number(0, 3)) {
      const uint32_t body = number(0, 3);
      const bool found = wanted(static_cast<uint8_t>(number(3, 1)),
                                static_cast<uint8_t>(number(4, 1)), number(5, 4));
      unread_.erase(0, kHeadBytes + body);
      if (found) return End::kFound;
    }
    const ssize_t bytes = recv(socket_, buffer, sizeof buffer, 0);
    if (bytes < 0 && errno != ECONNRESET) return End::kSilence;
    if (bytes <= 0) return End::kClosed;
    unread_.append(buffer, static_cast<size_t>(bytes));
  }
}

bool RawPeer::ReadToEndOf(uint32_t stream) {
  const End end = ReadUntil([stream](uint8_t type, uint8_t flags, uint32_t of) {
    const bool ends = type == kReset || (type == kHeaders && (flags & kEndStream) != 0);
    return type == kGoAway || (of == stream && ends);
  });
  return end != End::kSilence;
}

bool RawPeer::ReadToGoAway(std::chrono::seconds patience) {
  SetPatience(patience);
  return ReadUntil([](uint8_t type, uint8_t, uint32_t) { return type == kGoAway; }) == End::kFound;
}

bool RawPeer::ReadToEnd(std::chrono::seconds patience) {
  SetPatience(patience);
  char buffer[65536];
  ssize_t bytes = 1;
  while (bytes > 0) bytes = recv(socket_, buffer, sizeof buffer, 0);
  return bytes == 0 || errno == ECONNRESET;
}

std::string RawPeer::Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& body) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame.push_back(static_cast<char>(body.size() >> shift));
  frame.push_back(static_cast<char>(type));
  frame.push_back(static_cast<char>(flags));
  for (const int shift : {24, 16, 8, 0}) frame.push_back(static_cast<char>(stream >> shift));
  return frame + body;
}

std::string RawPeer::Call(uint32_t stream) {
  std::string headers = "\x83\x86";  // :method POST, :scheme http
  Literal(":path", "/mrl.v1.SearchService/Search", &headers);
  Literal(":authority", "a", &headers);
  Literal("content-type", "application/grpc", &headers);
  Literal("te", "trailers", &headers);
  return Frame(1, 4, stream, headers);
}

std::string RawPeer::Reset(uint32_t stream) {
  return Frame(3, 0, stream, std::string("\0\0\0\x08", 4));
}

}  // namespace mrl
