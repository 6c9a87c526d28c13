// A server process that is abused while a well-behaved client goes on: every call of that one is
// answered, its p99 is printed, and the peak of the server's memory stays in bounds. MRL_ABUSE is
// how many times as much of it there is.
//
// gRPC 1.51 has no defence of its own against rapid resets: it takes each stream, and the memory of
// those that wait for their end grows with the sender's speed. What bounds it is the memory quota
// and that the sender must keep up; see SECURITY.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "client/cpp/client.h"
#include "tests/integration/child.h"
#include "tests/integration/raw_peer.h"
#include "tests/integration/sample.h"
#include "tests/support/certificates.h"

namespace mrl {
namespace {

constexpr uint64_t kMemoryBytesMax = uint64_t{512} << 20;
// ThreadSanitizer shadows every byte and keeps what was freed: sizes say nothing there.
#if defined(__SANITIZE_THREAD__)
constexpr bool kSizesTell = false;
#else
constexpr bool kSizesTell = true;
#endif

int Times() {
  const char* times = std::getenv("MRL_ABUSE");
  return times == nullptr ? 1 : std::max(1, std::atoi(times));
}

// What the tests found, as a table that a page can take.
class Table : public ::testing::Environment {
 public:
  static void Add(const std::string& row) { rows() += row; }
  void TearDown() override {
    if (rows().empty()) return;
    std::printf(
        "| abuse | p99 alone | p99 during | calls during | server's peak memory |\n"
        "|---|---|---|---|---|\n%s",
        rows().c_str());
  }

 private:
  static std::string& rows() {
    static auto& rows = *new std::string;
    return rows;
  }
};
[[maybe_unused]] const auto* const table = ::testing::AddGlobalTestEnvironment(new Table);

class Abuse : public ::testing::Test {
 protected:
  void SetUp() override {
    BuildSample(folder_ / "sample", 1);
    std::vector<std::string> arguments = {std::getenv("MRL_SERVER_BINARY"),
                                          "--index",
                                          "sample=" + (folder_ / "sample"),
                                          "--grpc-port",
                                          "0",
                                          "--http-port",
                                          "0",
                                          "--log-level",
                                          "error",
                                          "--grpc-memory-bytes",
                                          std::to_string(64 << 20)};
    for (const std::string& flag : MoreFlags()) arguments.push_back(flag);
    server_ = std::make_unique<Child>(arguments);
    const std::string line = server_->ReadLine(), prefix = "serving grpc=";
    ASSERT_THAT(line, ::testing::StartsWith(prefix));
    address_ = line.substr(prefix.size(), line.find(' ', prefix.size()) - prefix.size());
  }
  virtual std::vector<std::string> MoreFlags() { return {}; }
  virtual client::ConnectionOptions Good() { return {}; }

  std::string ProcPath(const char* name) const {
    return "/proc/" + std::to_string(server_->pid()) + "/" + name;
  }
  // From now on the peak of the server's memory is counted anew.
  void ForgetPeak() const { std::ofstream(ProcPath("clear_refs")) << "5"; }
  // The most memory that was resident.
  uint64_t PeakBytes() const {
    std::ifstream file(ProcPath("status"));
    for (std::string line; std::getline(file, line);) {
      if (line.rfind("VmHWM:", 0) == 0) return std::strtoull(line.c_str() + 6, nullptr, 10) << 10;
    }
    ADD_FAILURE() << "no peak of memory is told";
    return 0;
  }

  // A client that asks one thing after another while `abuse` runs, and a hundred things at least.
  // What `abuse` leaves open stays so until the peak was read.
  void Endure(const std::string& name, const std::function<void()>& abuse,
              uint64_t bytes_max = kMemoryBytesMax) {
    client::Client good(address_, Good());
    const Asked before = AskUntil(good, [asked = 0]() mutable { return ++asked > 200; });
    ForgetPeak();
    std::atomic<bool> done{false};
    std::thread abuser([&] {
      abuse();
      done = true;
    });
    const Asked during =
        AskUntil(good, [&done, asked = 0]() mutable { return ++asked > 100 && done; });
    abuser.join();
    client::Client fresh(address_, Good());
    EXPECT_TRUE(fresh.Search("sample", SampleVector(7, 0)).ok());
    const uint64_t peak = PeakBytes();
    Table::Add(absl::StrFormat("| %s | %.1f ms | %.1f ms | %d | %.0f MiB |\n", name, before.p99_ms,
                               during.p99_ms, during.calls, static_cast<double>(peak) / (1 << 20)));
    EXPECT_GT(peak, uint64_t{1} << 20);
    if (kSizesTell) {
      EXPECT_LT(peak, bytes_max);
    }
  }

  Folder folder_;
  std::unique_ptr<Child> server_;
  std::string address_;

 private:
  struct Asked {
    size_t calls = 0;
    double p99_ms = 0;
  };
  // Each call must be answered.
  static Asked AskUntil(client::Client& good, std::function<bool()> enough) {
    std::vector<double> times_ms;
    while (!enough()) {
      const auto begin = std::chrono::steady_clock::now();
      const auto answer = good.Search("sample", SampleVector(7, 0));
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) break;
      times_ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
              .count());
    }
    if (times_ms.empty()) return {};
    std::sort(times_ms.begin(), times_ms.end());
    return {times_ms.size(), times_ms[times_ms.size() * 99 / 100]};
  }
};

TEST_F(Abuse, RapidResets) {
  // What more of them take grows with their number: the table tells it.
  const uint64_t bytes_max = Times() == 1 ? kMemoryBytesMax : UINT64_MAX;
  const auto abuse = [this] {
    const int bursts = 100 * Times();
    auto peer = std::make_unique<RawPeer>(address_);
    peer->Greet();
    uint32_t stream = 1;
    for (int i = 0; i < bursts; ++i) {
      std::string burst;
      for (int call = 0; call < 100; ++call, stream += 2) {
        burst += RawPeer::Call(stream) + RawPeer::Reset(stream);
      }
      if (peer->Write(burst)) continue;
      peer = std::make_unique<RawPeer>(address_);  // sent away: comes again
      peer->Greet();
      stream = 1;
    }
  };
  Endure("rapid resets", abuse, bytes_max);
}

TEST_F(Abuse, PingFlood) {
  Endure("ping flood", [this] {
    std::string burst;
    for (int i = 0; i < 1000; ++i) burst += RawPeer::Frame(6, 0, 0, std::string(8, 'p'));
    for (int i = 0; i < 10 * Times(); ++i) {
      RawPeer peer(address_);
      peer.Greet();
      peer.Write(burst);
      EXPECT_TRUE(peer.ReadToEnd()) << "who pings all the time is sent away";
    }
  });
}

// 16 MB of headers, where 8 KiB are allowed.
TEST_F(Abuse, HugeHeaders) {
  Endure("huge headers", [this] {
    // x: 16,000 bytes, not to be indexed.
    const std::string header = std::string("\0\x01x\x7f\x81\x7c", 6) + std::string(16'000, 'y');
    for (int i = 0; i < 4 * Times(); ++i) {
      RawPeer peer(address_);
      peer.Greet();
      bool open = peer.Write(RawPeer::Frame(1, 0, 1, "\x83"));
      for (int more = 0; open && more < 1000; ++more) {
        open = peer.Write(RawPeer::Frame(9, 0, 1, header));
      }
      // The end of the headers, should it still be waited for.
      if (open) peer.Write(RawPeer::Frame(9, 4, 1, ""));
      EXPECT_TRUE(peer.ReadToEndOf(1)) << "whose headers are too large is told, or sent away";
    }
  });
}

TEST_F(Abuse, TwoThousandConnections) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  Endure("2,000 connections", [&] {
    for (int i = 0; i < 2000; ++i) {
      peers.push_back(std::make_unique<RawPeer>(address_));
      ASSERT_TRUE(peers.back()->connected()) << i;
      if (i % 2 == 0) peers.back()->Greet();
      if (i % 4 == 0) peers.back()->Write(RawPeer::Call(1));  // and never its message
    }
    // All of them are there at once.
    for (int i = 0; i < 2000; i += 100) EXPECT_TRUE(peers[i]->Answers()) << i;
  });
}

class TlsAbuse : public Abuse {
 protected:
  std::vector<std::string> MoreFlags() override {
    const CertificateAndKey pair = authority_.Issue(1);
    std::ofstream(folder_ / "tls.crt") << pair.cert;
    std::ofstream(folder_ / "tls.key") << pair.key;
    return {"--tls-cert", folder_ / "tls.crt", "--tls-key", folder_ / "tls.key"};
  }
  client::ConnectionOptions Good() override {
    client::ConnectionOptions options;
    options.tls = true;
    options.tls_roots = authority_.root();
    return options;
  }
  const Authority authority_;
};

TEST_F(TlsAbuse, HandshakesThatStopHalfWay) {
  std::vector<std::unique_ptr<RawPeer>> peers;
  Endure("half-open TLS", [&] {
    // The head of a ClientHello of 508 bytes, and no more of it.
    const std::string half("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    for (int i = 0; i < 500; ++i) {
      peers.push_back(std::make_unique<RawPeer>(address_));
      ASSERT_TRUE(peers.back()->connected()) << i;
      if (i % 2 == 0) peers.back()->Write(half);
    }
  });
  // Each has 10 s for its handshake from when it connected.
  for (size_t i = 0; i < peers.size(); i += 25) {
    EXPECT_TRUE(peers[i]->ReadToEnd(std::chrono::seconds(60))) << i;
  }
}

}  // namespace
}  // namespace mrl
