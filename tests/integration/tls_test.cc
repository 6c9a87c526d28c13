#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "mrl/v1/server.grpc.pb.h"
#include "server/log.h"
#include "tests/integration/operated.h"
#include "tests/support/certificates.h"

namespace mrl {
namespace {

using absl::StatusCode;

class Tls : public Operated {
 protected:
  // The pair lies in a folder that a link names, and the link is exchanged: both change at once.
  void Install(long serial) { Install(serial, authority_.Issue(serial)); }
  void Install(long serial, const CertificateAndKey& pair) {
    const std::string folder = folder_ / ("pair" + std::to_string(serial));
    mkdir(folder.c_str(), 0700);
    std::ofstream(folder + "/tls.crt") << pair.cert;
    std::ofstream(folder + "/tls.key") << pair.key;
    ASSERT_EQ(symlink(folder.c_str(), (folder_ / "next").c_str()), 0);
    ASSERT_EQ(rename((folder_ / "next").c_str(), (folder_ / "current").c_str()), 0);
  }
  void Configure(server::Config* config) override {
    Install(100);
    config->tls_cert = folder_ / "current/tls.crt";
    config->tls_key = folder_ / "current/tls.key";
  }
  client::Client Connect(client::ConnectionOptions options) {
    options.tls = true;
    return client::Client(server_->address(), options);
  }
  client::ConnectionOptions Trusting(const std::string& roots) {
    client::ConnectionOptions options;
    options.tls_roots = roots;
    return options;
  }

  // Waits until new connections are shown this certificate.
  void AwaitServed(long serial) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (ServedSerial(server_->address()) != serial && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    EXPECT_EQ(ServedSerial(server_->address()), serial);
  }

  Authority authority_;
};

TEST_F(Tls, AnswersWhoTrustsItsAuthority) {
  EXPECT_TRUE(Connect(Trusting(authority_.root())).GetServerInfo().ok());
}

TEST_F(Tls, IsRefusedByWhoTrustsAnother) {
  EXPECT_EQ(Connect(Trusting(Authority().root())).GetServerInfo().status().code(),
            StatusCode::kUnavailable);
}

TEST_F(Tls, DoesNotAnswerInClear) {
  EXPECT_EQ(client().GetServerInfo().status().code(), StatusCode::kUnavailable);
}

TEST_F(Tls, ServesANewCertificateAndKeepsOpenConnections) {
  std::atomic<bool> done{false};
  std::atomic<int> asked{0}, failed{0};
  std::thread open_connection([&] {
    client::Client client = Connect(Trusting(authority_.root()));
    while (!done) {
      ++asked;
      if (!client.Search("sample", SampleVector(7, 0)).ok()) ++failed;
    }
  });
  for (long serial = 101; serial <= 103; ++serial) {
    Install(serial);
    AwaitServed(serial);
    EXPECT_TRUE(Connect(Trusting(authority_.root())).GetServerInfo().ok());
  }
  done = true;
  open_connection.join();
  EXPECT_EQ(failed.load(), 0);
  EXPECT_GT(asked.load(), 0);
}

// Clients that connect anew for each call, while the certificate is exchanged.
class TlsRotation : public Tls {
 protected:
  void Install(long serial) {
    const CertificateAndKey pair = authority_.Issue(serial);
    {
      absl::MutexLock lock(&mutex_);
      serials_[pair.cert] = serial;
    }
    Tls::Install(serial, pair);
  }
  void Configure(server::Config* config) override {
    Tls::Configure(config);
    Install(100);
  }
  // One call on a connection of its own, and the certificate that it was shown.
  void Ask() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = v1::ServerService::NewStub(grpc::CreateCustomChannel(
        server_->address(),
        grpc::SslCredentials(
            {.pem_root_certs = authority_.root(), .pem_private_key = "", .pem_cert_chain = ""}),
        arguments));
    grpc::ClientContext context;
    v1::ServerInfo info;
    const grpc::Status status = stub->GetServerInfo(&context, {}, &info);
    absl::MutexLock lock(&mutex_);
    if (!status.ok()) {
      failures_.push_back(status.error_message());
      return;
    }
    const auto shown = context.auth_context()->FindPropertyValues("x509_pem_cert");
    const auto known = shown.empty() ? serials_.end()
                                     : serials_.find(std::string(shown[0].data(), shown[0].size()));
    ++calls_[known == serials_.end() ? -1 : known->second];
  }
  void AwaitCallsWith(long serial) {
    absl::MutexLock lock(&mutex_);
    const auto seen = [this, serial]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return calls_.count(serial) > 0;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&seen), absl::Seconds(30))) << serial;
  }

  absl::Mutex mutex_;
  std::map<std::string, long> serials_ ABSL_GUARDED_BY(mutex_);  // by certificate
  std::map<long, int> calls_ ABSL_GUARDED_BY(mutex_);            // by serial; -1 = unknown
  std::vector<std::string> failures_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(TlsRotation, NoNewConnectionIsRefused) {
  constexpr int kThreads = 4;
  constexpr long kSwaps = 10;
  std::atomic<bool> done{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < kThreads; ++i) {
    clients.emplace_back([&] {
      while (!done) Ask();
    });
  }
  AwaitCallsWith(100);
  for (long serial = 101; serial <= 100 + kSwaps; ++serial) {
    Install(serial);
    AwaitCallsWith(serial);
  }
  done = true;
  for (std::thread& client : clients) client.join();
  absl::MutexLock lock(&mutex_);
  EXPECT_THAT(failures_, ::testing::IsEmpty());
  EXPECT_EQ(calls_.size(), size_t{kSwaps + 1});
  EXPECT_EQ(calls_.count(-1), 0u);
}

TEST_F(Tls, APairThatDoesNotFitChangesNothing) {
  const std::string failed = "mrl_tls_reload_failed";
  client::Client open_connection = Connect(Trusting(authority_.root()));
  ASSERT_TRUE(open_connection.GetServerInfo().ok());
  EXPECT_EQ(Metric(failed), 0);
  server::SetUpLog("text", "error");
  ::testing::internal::CaptureStderr();
  Install(101, {authority_.Issue(101).cert, authority_.Issue(102).key});
  Await(failed, 1);
  for (int second = 0; second < 3; ++second) {
    EXPECT_EQ(ServedSerial(server_->address()), 100);
    EXPECT_TRUE(Connect(Trusting(authority_.root())).GetServerInfo().ok());
    EXPECT_TRUE(open_connection.GetServerInfo().ok());
    absl::SleepFor(absl::Seconds(1));  // until the files are looked at again
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  server::SetUpLog("text", "critical");
  const std::string words = "current/tls.key: the key is not that of the certificate in ";
  EXPECT_THAT(log,
              ::testing::HasSubstr("the TLS files are not in order, those before stay in use"));
  EXPECT_THAT(log, ::testing::HasSubstr(words));
  EXPECT_EQ(log.find(words), log.rfind(words)) << "said each second:\n" << log;
  EXPECT_THAT(log, ::testing::Not(::testing::HasSubstr("BEGIN")));
  Install(103);
  AwaitServed(103);
  EXPECT_EQ(Metric(failed), 0);
  EXPECT_TRUE(open_connection.GetServerInfo().ok());
  EXPECT_TRUE(Connect(Trusting(authority_.root())).GetServerInfo().ok());
}

// Neither is the other's, until the second one is there too.
TEST_F(Tls, AKeyMayComeBehindItsCertificate) {
  const CertificateAndKey pair = authority_.Issue(101);
  std::ofstream(folder_ / "current/tls.crt") << pair.cert;
  Await("mrl_tls_reload_failed", 1);
  EXPECT_EQ(ServedSerial(server_->address()), 100);
  std::ofstream(folder_ / "current/tls.key") << pair.key;
  AwaitServed(101);
  EXPECT_EQ(Metric("mrl_tls_reload_failed"), 0);
}

TEST_F(Tls, MetricsSayWhenTheCertificateEnds) {
  const std::string name = "mrl_tls_certificate_expiry_timestamp_seconds{file=\"tls-cert\"}";
  const double in_an_hour = static_cast<double>(absl::ToUnixSeconds(absl::Now())) + 3600;
  EXPECT_NEAR(Metric(name), in_an_hour, 600);
  std::ofstream(folder_ / "current/tls.crt") << "none";
  EXPECT_EQ(Metric(name), 0);
}

TEST_F(Tls, WrongFilesStopTheStartAndAreNamed) {
  const CertificateAndKey other = authority_.Issue(7), old = authority_.Issue(8, -10);
  std::ofstream(folder_ / "other.key") << other.key;
  std::ofstream(folder_ / "old.crt") << old.cert;
  std::ofstream(folder_ / "old.key") << old.key;
  std::ofstream(folder_ / "empty") << "";
  const auto expect = [this](const std::string& cert, const std::string& key,
                             const std::string& message) {
    config_.tls_cert = folder_ / cert;
    config_.tls_key = folder_ / key;
    const absl::Status status = server::Server::Start(FileSystem::Posix(), config_).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(message));
    EXPECT_THAT(std::string(status.message()), ::testing::Not(::testing::HasSubstr("BEGIN")));
  };
  expect("current/tls.crt", "other.key", "other.key: the key is not that of the certificate");
  expect("old.crt", "old.key", "old.crt: the certificate has expired");
  expect("empty", "other.key", "empty: no PEM certificate is in it");
  expect("current/tls.crt", "empty", "empty: no PEM private key without a passphrase is in it");
  expect("none", "other.key", "none");
}

class MutualTls : public Tls {
 protected:
  void Configure(server::Config* config) override {
    Tls::Configure(config);
    std::ofstream(folder_ / "clients.pem") << clients_.root();
    config->tls_client_ca = folder_ / "clients.pem";
  }
  client::ConnectionOptions As(const CertificateAndKey& pair) {
    client::ConnectionOptions options = Trusting(authority_.root());
    options.tls_cert = pair.cert;
    options.tls_key = pair.key;
    return options;
  }
  Authority clients_;
};

TEST_F(MutualTls, AnswersClientsOfTheRightAuthority) {
  EXPECT_TRUE(Connect(As(clients_.Issue(5))).GetServerInfo().ok());
}

TEST_F(MutualTls, ANewAuthorityTakesThePlaceOfTheOld) {
  const Authority fresh;
  std::ofstream(folder_ / "next.pem") << fresh.root();
  ASSERT_EQ(rename((folder_ / "next.pem").c_str(), (folder_ / "clients.pem").c_str()), 0);
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!Connect(As(fresh.Issue(8))).GetServerInfo().ok() && absl::Now() < deadline) {
  }
  EXPECT_TRUE(Connect(As(fresh.Issue(8))).GetServerInfo().ok());
  EXPECT_EQ(Connect(As(clients_.Issue(9))).GetServerInfo().status().code(),
            StatusCode::kUnavailable);
}

TEST_F(MutualTls, RefusesAllOthers) {
  EXPECT_EQ(Connect(As(authority_.Issue(6))).GetServerInfo().status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(Connect(As(clients_.Issue(7, -10))).GetServerInfo().status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(Connect(Trusting(authority_.root())).GetServerInfo().status().code(),
            StatusCode::kUnavailable);
}

}  // namespace
}  // namespace mrl
