// A connection that writes HTTP/2 frames by hand.
#pragma once

#include <cstdint>
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
  // Reads until the server closes; false when it does not within 10 s of silence.
  bool ReadToEnd();

  static std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& body);
  // HEADERS of a Search, without its end.
  static std::string Call(uint32_t stream);
  // RST_STREAM with CANCEL.
  static std::string Reset(uint32_t stream);

 private:
  int socket_ = -1;
  bool connected_ = false;
};

}  // namespace mrl
