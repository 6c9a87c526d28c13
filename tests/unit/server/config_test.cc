#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "server/command_line.h"

namespace mrl::server {
namespace {

using ::testing::HasSubstr;

class Configuration : public ::testing::Test {
 protected:
  absl::StatusOr<CommandLine> Parse(std::vector<const char*> flags) {
    flags.insert(flags.begin(), "mrl-server");
    return ParseCommandLine(static_cast<int>(flags.size()), flags.data(),
                            [this](const std::string& name) -> const char* {
                              const auto found = environment_.find(name);
                              return found == environment_.end() ? nullptr : found->second.c_str();
                            });
  }
  std::string Yaml(const std::string& text) {
    path_ = testing::TempDir() + "config_test." + std::to_string(getpid()) + ".yaml";
    std::ofstream(path_) << text;
    return path_;
  }
  std::string SourceOf(const CommandLine& line, const std::string& key) {
    for (const Setting& setting : line.settings) {
      if (setting.key == key) return setting.value + " from " + setting.source;
    }
    return "no such key";
  }
  void ExpectRefused(const std::vector<const char*>& flags, const std::string& message) {
    const auto line = Parse(flags);
    ASSERT_EQ(line.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(line.status().message()), HasSubstr(message));
  }
  ~Configuration() override {
    if (!path_.empty()) unlink(path_.c_str());
  }

  std::map<std::string, std::string> environment_;
  std::string path_;
};

TEST_F(Configuration, DefaultsListenOnLoopback) {
  const auto line = Parse({});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->config.bind, "127.0.0.1");
  EXPECT_EQ(line->config.grpc_port, 7600);
  EXPECT_TRUE(line->config.indexes.empty());
  EXPECT_EQ(SourceOf(*line, "grpc-port"), "7600 from default");
}

TEST_F(Configuration, FlagsWinOverEnvironmentOverFile) {
  environment_ = {{"MRL_WORKERS", "2"}, {"MRL_QUEUE_MAX", "20"}};
  const std::string file = Yaml("workers: 1\nqueue-max: 10\ngrpc-port: 7700\n");
  const auto line = Parse({"--config", file.c_str(), "--workers", "3"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(SourceOf(*line, "workers"), "3 from flag --workers");
  EXPECT_EQ(SourceOf(*line, "queue-max"), "20 from environment MRL_QUEUE_MAX");
  EXPECT_EQ(SourceOf(*line, "grpc-port"), "7700 from file " + file);
  EXPECT_EQ(line->config.workers, 3);
}

TEST_F(Configuration, IndexesComeFromRepeatedFlags) {
  const auto line = Parse({"--index", "a=/x", "--index", "b=/y"});
  ASSERT_TRUE(line.ok()) << line.status();
  const std::vector<IndexPath> wanted = {{"a", "/x"}, {"b", "/y"}};
  EXPECT_EQ(line->config.indexes, wanted);
}

TEST_F(Configuration, IndexesComeFromAMapInTheFile) {
  const std::string file = Yaml("index:\n  a: /x\n  b: /y\n");
  const auto line = Parse({"--config", file.c_str()});
  ASSERT_TRUE(line.ok()) << line.status();
  const std::vector<IndexPath> wanted = {{"a", "/x"}, {"b", "/y"}};
  EXPECT_EQ(line->config.indexes, wanted);
}

TEST_F(Configuration, UnknownKeysAreRefusedWithTheKnownOnes) {
  const std::string file = Yaml("grpc_port: 1\n");
  ExpectRefused({"--config", file.c_str()},
                "unknown key 'grpc_port'; known: index, data-dir, seal-rows, "
                "open-collections, bind");
  ExpectRefused({"--grpc_port", "1"}, "known keys: index, data-dir, seal-rows");
}

TEST_F(Configuration, WrongValuesAreNamed) {
  ExpectRefused({"--grpc-port", "70000"}, "grpc-port is 70000; 0 to 65535 are accepted");
  ExpectRefused({"--workers", "many"}, "workers is 'many' (flag --workers); a whole number");
  ExpectRefused({"--index", "here"}, "index is 'here' (flag --index); NAME=DIR is needed");
  ExpectRefused({"--index", "a=/x", "--index", "a=/y"}, "index is a; it is named twice");
  ExpectRefused({"--hot-dims", "65537"}, "hot-dims is 65537; 0 to 65536 are accepted");
  ExpectRefused({"--queue-max", "0"}, "queue-max is 0; 1 to 1000000 are accepted");
  ExpectRefused({"--log-level", "loud"}, "log-level is 'loud'; one of debug, info, warn, error");
}

TEST_F(Configuration, DevicesAreNumbers) {
  EXPECT_EQ(Parse({})->config.gpu, "off");
  EXPECT_TRUE(Parse({"--gpu", "auto", "--gpu-devices", "0,2", "--gpu-replicas", "2"}).ok());
  ExpectRefused({"--gpu", "on"}, "gpu is 'on'; one of off, auto, require");
  ExpectRefused({"--gpu-devices", "0,x"}, "gpu-devices is '0,x'; numbers with commas between");
  ExpectRefused({"--gpu-devices", "1,0,1"}, "gpu-devices is '1,0,1'; 1 comes twice");
  ExpectRefused({"--gpu-replicas", "0"}, "gpu-replicas is 0; 1 to 64 are accepted");
}

TEST_F(Configuration, SwitchesNeedNoValue) {
  EXPECT_FALSE(Parse({})->config.insecure_bind);
  EXPECT_TRUE(Parse({"--insecure-bind"})->config.insecure_bind);
  EXPECT_FALSE(Parse({"--insecure-bind=false"})->config.insecure_bind);
  environment_ = {{"MRL_INSECURE_BIND", "true"}};
  EXPECT_TRUE(Parse({})->config.insecure_bind);
  ExpectRefused({"--insecure-bind=maybe"}, "insecure-bind is 'maybe' (flag --insecure-bind); true");
}

TEST_F(Configuration, ABindThatOthersReachNeedsAGuard) {
  ExpectRefused({"--bind", "0.0.0.0"}, "neither tls-cert nor api-keys is set");
  ExpectRefused({"--bind", "::"}, "bind is ::, which other machines reach");
  for (const char* loopback : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
    EXPECT_TRUE(Parse({"--bind", loopback}).ok()) << loopback;
  }
  EXPECT_TRUE(Parse({"--bind", "0.0.0.0", "--insecure-bind"}).ok());
  EXPECT_TRUE(Parse({"--bind", "0.0.0.0", "--api-keys", "k"}).ok());
  EXPECT_TRUE(Parse({"--bind", "0.0.0.0", "--tls-cert", "c", "--tls-key", "k"}).ok());
}

TEST_F(Configuration, TheHttpPortListensWhereBindSaysUnlessItHasItsOwn) {
  EXPECT_EQ(SourceOf(*Parse({}), "http-bind"), "127.0.0.1 from default");
  const auto both = Parse({"--bind", "::1"});
  EXPECT_EQ(both->config.HttpBind(), "::1");
  EXPECT_EQ(SourceOf(*both, "http-bind"), "::1 from default");
  environment_ = {{"MRL_HTTP_BIND", "127.0.0.2"}};
  const auto own = Parse({"--bind", "0.0.0.0", "--api-keys", "k"});
  EXPECT_EQ(own->config.HttpBind(), "127.0.0.2");
  EXPECT_EQ(SourceOf(*own, "http-bind"), "127.0.0.2 from environment MRL_HTTP_BIND");
}

TEST_F(Configuration, AnHttpBindThatOthersReachNeedsAGuardOfGrpcToo) {
  ExpectRefused({"--http-bind", "0.0.0.0"},
                "http-bind is 0.0.0.0, which other machines reach, and neither tls-cert");
  EXPECT_TRUE(Parse({"--http-bind", "::1"}).ok());
  EXPECT_TRUE(Parse({"--http-bind", "0.0.0.0", "--insecure-bind"}).ok());
  EXPECT_TRUE(Parse({"--http-bind", "0.0.0.0", "--api-keys", "k"}).ok());
}

TEST_F(Configuration, TlsFilesComeTogether) {
  ExpectRefused({"--tls-cert", "c"}, "tls-cert and tls-key are needed together");
  ExpectRefused({"--tls-key", "k"}, "tls-cert and tls-key are needed together");
  ExpectRefused({"--tls-client-ca", "a"}, "tls-client-ca needs tls-cert and tls-key");
}

TEST_F(Configuration, SecretsAreMasked) {
  EXPECT_EQ(SourceOf(*Parse({}), "otlp-headers"), " from default");
  environment_ = {{"MRL_OTLP_HEADERS", "token=planted"}};
  EXPECT_EQ(SourceOf(*Parse({}), "otlp-headers"), "*** from environment MRL_OTLP_HEADERS");
}

TEST_F(Configuration, EveryKeyIsInTheHelp) {
  const auto line = Parse({"--help"});
  ASSERT_TRUE(line.ok()) << line.status();
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_THAT(line->text, HasSubstr(std::string("--") + key.name));
  }
}

TEST_F(Configuration, BrokenYamlIsNamedWithItsFile) {
  const std::string file = Yaml("bind: [\n");
  ExpectRefused({"--config", file.c_str()}, file);
  ExpectRefused({"--config", "/nowhere/x.yaml"}, "/nowhere/x.yaml");
}

}  // namespace
}  // namespace mrl::server
