// No secret comes out of the programs: planted ones are looked for in all they print.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "server/security/key_hash.h"
#include "tests/integration/child.h"
#include "tests/integration/sample.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kKey[] = "planted-key-0123456789abcdef0123456789";
constexpr char kWrongKey[] = "planted-wrong-0123456789abcdef01234567";

class Secrets : public ::testing::Test {
 protected:
  void SetUp() override {
    BuildSample(folder_ / "sample", 1);
    hash_ = server::HashKey(kKey).value();
    std::ofstream(folder_ / "keys.yaml")
        << "keys:\n- {id: app, role: read, hash: '" << hash_ << "'}\n";
    std::ofstream(folder_ / "right") << kKey << "\n";
    std::ofstream(folder_ / "wrong") << kWrongKey << "\n";
  }
  void ExpectNoSecret(const std::string& text) {
    EXPECT_THAT(text, Not(HasSubstr("planted-")));
    EXPECT_THAT(text, Not(HasSubstr(hash_.substr(8, 24))));
  }
  static std::pair<int, std::string> Run(std::vector<std::string> arguments) {
    Child child(std::move(arguments), /*with_stderr=*/true);
    std::string output = child.ReadAll();
    return {child.Wait(), std::move(output)};
  }
  const std::string server_ = std::getenv("MRL_SERVER_BINARY");
  const std::string client_ = std::getenv("MRL_CLIENT_BINARY");
  Folder folder_;
  std::string hash_;
};

TEST_F(Secrets, AreNotInTheLogNorInErrors) {
  Child server({server_, "--index", "sample=" + (folder_ / "sample"), "--grpc-port", "0",
                "--http-port", "0", "--api-keys", folder_ / "keys.yaml", "--log-level", "debug"},
               /*with_stderr=*/true);
  std::string log, line;
  do {
    line = server.ReadLine();
    log += line;
  } while (!line.empty() && line.rfind("serving grpc=", 0) != 0);
  ASSERT_THAT(line, StartsWith("serving grpc="));
  const std::string address = line.substr(
      13, line.find(' ') == std::string::npos ? std::string::npos : line.find(" http") - 13);
  const auto ask = [&](const std::string& key_file) {
    return Run({client_, "status", "--server", address, "--api-key-file", folder_ / key_file});
  };
  const auto [right_code, right] = ask("right");
  EXPECT_EQ(right_code, 0) << right;
  const auto [wrong_code, wrong] = ask("wrong");
  EXPECT_EQ(wrong_code, 1) << wrong;
  EXPECT_THAT(wrong, HasSubstr("the key is not known"));
  ExpectNoSecret(right + wrong);
  server.Signal(SIGHUP);
  server.Signal(SIGTERM);
  log += server.ReadAll();
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_THAT(log, HasSubstr("key=app"));
  ExpectNoSecret(log);
}

TEST_F(Secrets, AreNotInThePrintedConfiguration) {
  const auto [code, printed] =
      Run({server_, "--print-config", "--api-keys", folder_ / "keys.yaml"});
  EXPECT_EQ(code, 0);
  EXPECT_THAT(printed, HasSubstr("api-keys: " + (folder_ / "keys.yaml")));
  ExpectNoSecret(printed);
}

TEST_F(Secrets, AHashIsMadeFromStdin) {
  Child hasher({server_, "--hash-key"}, /*with_stderr=*/true);
  hasher.Type(std::string(kKey) + "\n");
  const std::string printed = hasher.ReadAll();
  EXPECT_EQ(hasher.Wait(), 0);
  EXPECT_THAT(printed, StartsWith("sha256:"));
  ExpectNoSecret(printed);
  EXPECT_TRUE(server::ParseKeyHash(printed.substr(0, printed.size() - 1)).ok());
}

TEST_F(Secrets, AShortKeyIsRefused) {
  Child hasher({server_, "--hash-key"}, /*with_stderr=*/true);
  hasher.Type("planted-short\n");
  const std::string printed = hasher.ReadAll();
  EXPECT_EQ(hasher.Wait(), 2);
  EXPECT_EQ(printed, "mrl-server: the key has 13 bytes; 32 to 256 are accepted\n");
}

TEST_F(Secrets, AnOpenBindNeedsAGuardOrTheFlag) {
  const auto [code, output] = Run({server_, "--bind", "0.0.0.0", "--check-config"});
  EXPECT_EQ(code, 2);
  EXPECT_THAT(output, HasSubstr("bind is 0.0.0.0, which other machines reach, and neither "
                                "tls-cert nor api-keys is set; set one of them, or insecure-bind"));
  EXPECT_EQ(Run({server_, "--bind", "0.0.0.0", "--insecure-bind", "--check-config"}).first, 0);
  EXPECT_EQ(Run({server_, "--bind", "0.0.0.0", "--api-keys", "x", "--check-config"}).first, 0);
  EXPECT_EQ(Run({server_, "--bind", "127.0.0.9", "--check-config"}).first, 0);
}

}  // namespace
}  // namespace mrl
