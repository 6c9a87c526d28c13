#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "tests/integration/operated.h"
#include "tests/support/certificates.h"

namespace mrl {
namespace {

using absl::StatusCode;

class Tls : public Operated {
 protected:
  // The pair lies in a folder that a link names, and the link is exchanged: both change at once.
  void Install(long serial) {
    const std::string folder = folder_ / ("pair" + std::to_string(serial));
    mkdir(folder.c_str(), 0700);
    const CertificateAndKey pair = authority_.Issue(serial);
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
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (ServedSerial(server_->address()) != serial && absl::Now() < deadline) {
    }
    EXPECT_EQ(ServedSerial(server_->address()), serial);
    EXPECT_TRUE(Connect(Trusting(authority_.root())).GetServerInfo().ok());
  }
  done = true;
  open_connection.join();
  EXPECT_EQ(failed.load(), 0);
  EXPECT_GT(asked.load(), 0);
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
