// A connection that writes HTTP/2 frames by hand.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace mrl {

class RawPeer {
 public:
  // ADDRESS:PORT of this machine.
  explicit RawPeer(const std::string& address);
  ~RawPeer();
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  bool connected() const { return connected_; }
  // The preface and empty settings.
  void Greet();
  // False once the server has closed, or takes nothing for 10 s.
  bool Write(const std::string& bytes);
  // Whether a ping comes back.
  bool Answers();
  // Reads until the server closes; false when it does not within so much silence.
  bool ReadToEnd(std::chrono::seconds patience = std::chrono::seconds(10));
  // Reads until the server has ended `stream`, by a status, a reset or GOAWAY, or has closed; false
  // when it does not within 10 s of silence.
  bool ReadToEndOf(uint32_t stream);
  // Reads until the server says GOAWAY; false when it closes without, or after so much silence.
  bool ReadToGoAway(std::chrono::seconds patience);

  static std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& body);
  // HEADERS of a Search, without its end.
  static std::string Call(uint32_t stream);
  // RST_STREAM with CANCEL.
  static std::string Reset(uint32_t stream);

 private:
  enum class End { kFound, kClosed, kSilence };
  // Takes frames until one is wanted.
  End ReadUntil(const std::function<bool(uint8_t type, uint8_t flags, uint32_t stream)>& wanted);
  void SetPatience(std::chrono::seconds patience);

  std::string unread_;  // of the last recv, without whole frames
  int socket_ = -1;
  bool connected_ = false;
};

}  // namespace mrl
