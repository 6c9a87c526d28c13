// A server process that is abused while a well-behaved client goes on: every call of that one is
// answered, its p99 is printed, and the server's memory stays in bounds. MRL_LONG_TESTS=1 makes the
// abuse a hundred times longer.
//
// gRPC 1.51 has no defence of its own against rapid resets: it takes each stream, and the memory of
// those that wait for their end grows with the sender's speed. What bounds it is the memory quota
// and that the sender must keep up; see SECURITY.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

bool Long() { return std::getenv("MRL_LONG_TESTS") != nullptr; }

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

  // Resident memory of the server.
  uint64_t MemoryBytes() const {
    std::ifstream file("/proc/" + std::to_string(server_->pid()) + "/statm");
    uint64_t pages = 0;
    file >> pages >> pages;
    return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  }

  // A client that asks one thing after another while `abuse` runs, and a hundred things at least.
  void Endure(const std::string& name, const std::function<void()>& abuse) {
    client::Client good(address_, Good());
    const double before_us = AskUntil(good, [asked = 0]() mutable { return ++asked > 200; });
    std::atomic<bool> done{false};
    std::thread abuser([&] {
      abuse();
      done = true;
    });
    const double during_us =
        AskUntil(good, [&done, asked = 0]() mutable { return ++asked > 100 && done; });
    abuser.join();
    client::Client fresh(address_, Good());
    EXPECT_TRUE(fresh.Search("sample", SampleVector(7, 0)).ok());
    const uint64_t memory = MemoryBytes();
    std::printf("%s: good client's p99 %.0f us alone, %.0f us during; server's memory %.0f MiB\n",
                name.c_str(), before_us, during_us, static_cast<double>(memory) / (1 << 20));
    if (kSizesTell) {
      EXPECT_LT(memory, kMemoryBytesMax);
    }
  }

  Folder folder_;
  std::unique_ptr<Child> server_;
  std::string address_;

 private:
  // p99 of its calls in microseconds. Each must be answered.
  static double AskUntil(client::Client& good, std::function<bool()> enough) {
    std::vector<double> micros;
    while (!enough()) {
      const auto begin = std::chrono::steady_clock::now();
      const auto answer = good.Search("sample", SampleVector(7, 0));
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok()) break;
      micros.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin)
              .count());
    }
    std::sort(micros.begin(), micros.end());
    return micros.empty() ? 0 : micros[micros.size() * 99 / 100];
  }
};

TEST_F(Abuse, RapidResets) {
  Endure("rapid resets", [this] {
    const int bursts = Long() ? 10'000 : 100;
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
  });
}

TEST_F(Abuse, PingFlood) {
  Endure("ping flood", [this] {
    std::string burst;
    for (int i = 0; i < 1000; ++i) burst += RawPeer::Frame(6, 0, 0, std::string(8, 'p'));
    for (int i = 0; i < (Long() ? 1000 : 10); ++i) {
      RawPeer peer(address_);
      peer.Greet();
      peer.Write(burst);
      EXPECT_TRUE(peer.ReadToEnd()) << "who pings all the time is sent away";
    }
  });
}

TEST_F(Abuse, HugeHeaders) {
  Endure("huge headers", [this] {
    const std::string header = std::string("\0\x01x\x7f\x81\x7d", 6) + std::string(16'000, 'y');
    for (int i = 0; i < (Long() ? 100 : 4); ++i) {
      RawPeer peer(address_);
      peer.Greet();
      bool open = peer.Write(RawPeer::Frame(1, 0, 1, "\x83"));
      for (int more = 0; open && more < 1000; ++more) {
        open = peer.Write(RawPeer::Frame(9, 0, 1, header));
      }
    }
  });
}

TEST_F(Abuse, TwoThousandConnections) {
  Endure("2,000 connections", [this] {
    std::vector<std::unique_ptr<RawPeer>> peers;
    for (int i = 0; i < 2000; ++i) {
      peers.push_back(std::make_unique<RawPeer>(address_));
      ASSERT_TRUE(peers.back()->connected()) << i;
      if (i % 2 == 0) peers.back()->Greet();
      if (i % 4 == 0) peers.back()->Write(RawPeer::Call(1));  // and never its message
    }
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
  if (!Long()) return;
  // The handshake has 10 s.
  for (size_t i = 0; i < peers.size(); i += 100) EXPECT_TRUE(peers[i]->ReadToEnd()) << i;
}

}  // namespace
}  // namespace mrl
