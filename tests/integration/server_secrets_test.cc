// Secrets of a running server, planted and then looked for in all that comes out of it: its log at
// the most talkative level, its pages, its answers, its errors and its traces.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/security/key_hash.h"
#include "tests/integration/child.h"
#include "tests/integration/raw_call.h"
#include "tests/integration/sample.h"
#include "tests/support/certificates.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;

constexpr char kAdminKey[] = "planted-admin-0123456789abcdef0123456789";
constexpr char kReadKey[] = "planted-read-0123456789abcdef01234567890";
constexpr char kUnknownKey[] = "planted-unknown-0123456789abcdef01234567";
constexpr char kHeaders[] = "authorization=Bearer planted-collector,x-team=planted-team";

class ServerSecrets : public ::testing::Test {
 protected:
  void SetUp() override {
    BuildSample(folder_ / "sample", 1);
    BuildSample(folder_ / "broken", 2);
    Damage(folder_ / "broken");
    WriteKeys(server::HashKey(kAdminKey).value());
    const CertificateAndKey pair = authority_.Issue(1);
    std::ofstream(folder_ / "tls.crt") << pair.cert;
    WriteTlsKey(pair.key);
    collector_.Post("/v1/traces",
                    [this](const httplib::Request& request, httplib::Response& reply) {
                      absl::MutexLock lock(&mutex_);
                      traces_ += request.body;
                      headers_ok_ = request.get_header_value("x-team") == "planted-team";
                      reply.status = 500;  // which the server has to complain about
                    });
    const int port = collector_.bind_to_any_port("127.0.0.1");
    listener_ = std::thread([this] { collector_.listen_after_bind(); });
    while (!collector_.is_running()) std::this_thread::yield();
    flags_ = {std::getenv("MRL_SERVER_BINARY"),
              "--index",
              "sample=" + (folder_ / "sample"),
              "--index",
              "broken=" + (folder_ / "broken"),
              "--grpc-port",
              "0",
              "--http-port",
              "0",
              "--log-level",
              "debug",
              "--api-keys",
              folder_ / "keys.yaml",
              "--tls-cert",
              folder_ / "tls.crt",
              "--tls-key",
              folder_ / "tls.key",
              "--otlp-endpoint",
              absl::StrCat("http://127.0.0.1:", port),
              "--otlp-headers",
              kHeaders,
              "--trace-per-million",
              "1000000"};
  }
  ~ServerSecrets() override {
    collector_.stop();
    listener_.join();
  }

  void WriteKeys(const std::string& admin_hash) {
    const std::string read_hash = server::HashKey(kReadKey).value();
    std::ofstream(folder_ / "keys.yaml")
        << "keys:\n- {id: ops, role: admin, hash: '" << admin_hash
        << "'}\n- {id: app, role: read, hash: '" << read_hash << "'}\n";
    for (const std::string& hash : {admin_hash, read_hash}) {
      for (const absl::string_view part : absl::StrSplit(hash, ':')) {
        if (part.size() > 16) secrets_.emplace_back(part);
      }
    }
  }
  // Every line of it but the two that all keys have.
  void WriteTlsKey(const std::string& pem) {
    std::ofstream(folder_ / "tls.key") << pem;
    for (const absl::string_view line : absl::StrSplit(pem, '\n')) {
      if (line.size() > 16 && line[0] != '-') secrets_.emplace_back(line);
    }
    ASSERT_GT(secrets_.size(), 2u);
  }
  void Start() {
    server_ = std::make_unique<Child>(flags_, /*with_stderr=*/true);
    std::string line;
    do {
      line = server_->ReadLine();
      log_ += line;
    } while (!line.empty() && line.rfind("serving grpc=", 0) != 0);
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" =\n"), absl::SkipEmpty());
    ASSERT_EQ(words.size(), 5u) << log_;  // serving grpc ADDRESS http ADDRESS
    address_ = words[2];
    http_address_ = words[4];
  }
  // All of the answer: message, details, and what came before them.
  std::string Ask(const std::string& path, const std::string& request, const std::string& key,
                  grpc::StatusCode code) {
    const auto channel = grpc::CreateChannel(
        address_,
        grpc::SslCredentials(
            {.pem_root_certs = authority_.root(), .pem_private_key = "", .pem_cert_chain = ""}));
    const RawReply reply = RawCall(channel, path, request, {{"authorization", "Bearer " + key}});
    EXPECT_EQ(reply.status.error_code(), code) << path << ": " << reply.status.error_message();
    std::string all = reply.status.error_message() + reply.status.error_details();
    for (const std::string& message : reply.messages) all += message;
    return all;
  }
  std::string Page(const std::string& path) {
    const httplib::Result page = httplib::Client("http://" + http_address_).Get(path);
    return page ? page->body : "";
  }
  void ExpectNoSecret(const std::string& text, const std::string& where) {
    EXPECT_EQ(text.find("planted"), std::string::npos) << where << ":\n" << text;
    EXPECT_EQ(text.find("PRIVATE KEY"), std::string::npos) << where << ":\n" << text;
    for (const std::string& secret : secrets_) {
      EXPECT_EQ(text.find(secret), std::string::npos) << where << ":\n" << text;
    }
  }

  Folder folder_;
  const Authority authority_;
  std::vector<std::string> flags_;
  std::vector<std::string> secrets_;  // beside what has `planted` in it
  std::unique_ptr<Child> server_;
  std::string address_, http_address_, log_;
  httplib::Server collector_;
  std::thread listener_;
  absl::Mutex mutex_;
  std::string traces_ ABSL_GUARDED_BY(mutex_);
  bool headers_ok_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST_F(ServerSecrets, AreInNothingThatComesOut) {
  ASSERT_NO_FATAL_FAILURE(Start());
  using Code = grpc::StatusCode;
  const std::string config = Ask("/mrl.v1.ServerService/GetConfig", "", kAdminKey, Code::OK);
  EXPECT_THAT(config, HasSubstr("otlp-headers"));
  ExpectNoSecret(config, "GetConfig");
  const std::string sample("\x0a\x06sample"),
      broken(
          "\x0a\x06"
          "broken"),
      nope("\x0a\x04nope");
  const std::string get = "/mrl.v1.CollectionService/GetCollection";
  ExpectNoSecret(Ask("/mrl.v1.ServerService/GetServerInfo", "", kReadKey, Code::OK), "info");
  ExpectNoSecret(Ask(get, sample, kUnknownKey, Code::UNAUTHENTICATED), "an unknown key");
  ExpectNoSecret(Ask(get, sample, std::string(kReadKey) + "x", Code::UNAUTHENTICATED),
                 "a long key");
  ExpectNoSecret(Ask("/mrl.v1.ServerService/GetConfig", "", kReadKey, Code::PERMISSION_DENIED),
                 "a key of another role");
  ExpectNoSecret(Ask(get, nope, kReadKey, Code::NOT_FOUND), "no collection");
  ExpectNoSecret(Ask(get, broken, kReadKey, Code::DATA_LOSS), "a damaged collection");
  ExpectNoSecret(Ask("/mrl.v1.SearchService/Search", sample, kReadKey, Code::INVALID_ARGUMENT),
                 "a bad search");
  ExpectNoSecret(
      Ask("/mrl.v1.CollectionService/ReloadCollection", broken, kAdminKey, Code::DATA_LOSS),
      "a reload");
  // What is reloaded is worse than what there was: a key in the place of its hash, and a TLS key
  // that is none.
  WriteKeys(kUnknownKey);
  std::ofstream(folder_ / "tls.key") << "-----BEGIN PRIVATE KEY-----\nplanted-tls-key\n";
  server_->Signal(SIGHUP);
  const std::string failed = "\nmrl_tls_reload_failed 1";
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (Page("/metrics").find(failed) == std::string::npos && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  for (const char* path : {"/metrics", "/readyz", "/livez", "/version", "/planted-no-page"}) {
    const std::string page = Page(path);
    if (std::string(path) == "/metrics") {
      EXPECT_THAT(page, HasSubstr(failed));
    }
    ExpectNoSecret(page, path);
  }
  ExpectNoSecret(Ask("/mrl.v1.ServerService/GetServerInfo", "", kReadKey, Code::OK), "after it");
  server_->Signal(SIGTERM);
  log_ += server_->ReadAll();
  EXPECT_EQ(server_->Wait(), 0);
  // It did speak of each of them.
  for (const char* words : {"key=app", "key=ops", "the keys stay as they were",
                            "no PEM private key without a passphrase is in it", "127.0.0.1:"}) {
    EXPECT_THAT(log_, HasSubstr(words));
  }
  ExpectNoSecret(log_, "the log");
  absl::MutexLock lock(&mutex_);
  EXPECT_TRUE(headers_ok_) << "the collector was not sent its headers";
  EXPECT_THAT(traces_, HasSubstr("GetCollection"));
  ExpectNoSecret(traces_, "the traces");
}

TEST_F(ServerSecrets, AreNotInThePrintedConfiguration) {
  std::vector<std::string> flags = flags_;
  flags.push_back("--print-config");
  Child printer(flags, /*with_stderr=*/true);
  const std::string printed = printer.ReadAll();
  EXPECT_EQ(printer.Wait(), 0);
  EXPECT_THAT(printed, HasSubstr("otlp-headers: ***"));
  ExpectNoSecret(printed, "--print-config");
}

TEST_F(ServerSecrets, AreNotInWhatStopsAStart) {
  const auto expect = [this](const std::vector<std::string>& more, const std::string& words) {
    std::vector<std::string> flags = flags_;
    flags.insert(flags.end(), more.begin(), more.end());
    Child server(flags, /*with_stderr=*/true);
    const std::string said = server.ReadAll();
    EXPECT_NE(server.Wait(), 0) << said;
    EXPECT_THAT(said, HasSubstr(words));
    ExpectNoSecret(said, words);
  };
  std::ofstream(folder_ / "headers.yaml") << "otlp-headers: [planted-list]\n";
  expect({"--config", folder_ / "headers.yaml"}, "otlp-headers");
  std::ofstream(folder_ / "other.key") << authority_.Issue(2).key;
  expect({"--tls-key", folder_ / "other.key"}, "--tls-key");
  WriteKeys(kUnknownKey);
  expect({}, "keys.yaml");
  WriteKeys(server::HashKey(kAdminKey).value());
  WriteTlsKey("planted-tls-key, which is no PEM at all");
  expect({}, "tls.key");
}

}  // namespace
}  // namespace mrl
