// The programs themselves, as processes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "mrl/v1/search.grpc.pb.h"
#include "server/security/key_hash.h"
#include "tests/integration/child.h"
#include "tests/integration/sample.h"

namespace mrl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A stream of more than any window takes, of which one chunk is read: its call goes on.
class UnreadStream {
 public:
  explicit UnreadStream(const std::string& address)
      : stub_(v1::SearchService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    v1::BatchSearchRequest request;
    request.set_collection("sample");
    request.set_rows(4000);
    std::string bytes;
    for (uint32_t row = 0; row < request.rows(); ++row) {
      const std::vector<float> vector = SampleVector(7, row);
      bytes.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    }
    request.mutable_queries()->set_dtype(v1::DTYPE_F32);
    request.mutable_queries()->set_data(bytes);
    request.mutable_options()->set_k(500);
    reader_ = stub_->BatchSearch(&context_, request);
    v1::BatchSearchResponse chunk;
    EXPECT_TRUE(reader_->Read(&chunk));
  }
  ~UnreadStream() {
    context_.TryCancel();
    if (reader_ != nullptr) reader_->Finish();
  }
  // Reads what there still is, and how the call ended.
  grpc::Status ReadToEnd() {
    v1::BatchSearchResponse chunk;
    while (reader_->Read(&chunk)) {
    }
    return std::exchange(reader_, nullptr)->Finish();
  }

 private:
  const std::unique_ptr<v1::SearchService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::BatchSearchResponse>> reader_;
};

class Process : public ::testing::Test {
 protected:
  static std::string ServerBinary() { return std::getenv("MRL_SERVER_BINARY"); }
  static std::string ClientBinary() { return std::getenv("MRL_CLIENT_BINARY"); }

  // Starts a server on the sample and returns it once it says that it serves.
  std::unique_ptr<Child> Serve(const std::vector<std::string>& more = {"--drain-timeout-ms", "2000",
                                                                       "--log-level", "warn"}) {
    BuildSample(folder_ / "sample", 1);
    std::vector<std::string> arguments = {ServerBinary(), "--index",
                                          "sample=" + (folder_ / "sample"), "--workers", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Start(std::move(arguments), /*with_stderr=*/false);
  }
  std::unique_ptr<Child> Start(std::vector<std::string> arguments, bool with_stderr) {
    arguments.insert(arguments.end(), {"--grpc-port", "0", "--http-port", "0"});
    auto child = std::make_unique<Child>(std::move(arguments), with_stderr);
    const std::string line = child->ReadLine();
    const std::string prefix = "serving grpc=";
    EXPECT_THAT(line, StartsWith(prefix));
    EXPECT_THAT(line, HasSubstr(" http=127.0.0.1:"));
    if (line.size() > prefix.size()) {
      address_ = line.substr(prefix.size(), line.find(' ', prefix.size()) - prefix.size());
    }
    return child;
  }
  // Reads what a server with its stderr in the pipe says, to the line with `text`; false when it
  // ends without.
  static bool ReadTo(Child& server, const std::string& text) {
    std::string line = server.ReadLine();
    while (!line.empty() && line.find(text) == std::string::npos) line = server.ReadLine();
    return !line.empty();
  }
  // Runs a program to its end.
  static std::pair<int, std::string> Run(std::vector<std::string> arguments) {
    Child child(std::move(arguments), /*with_stderr=*/true);
    std::string output = child.ReadAll();
    return {child.Wait(), std::move(output)};
  }

  Folder folder_;
  std::string address_;
};

TEST_F(Process, TermDrainsAndExitsWithZero) {
  const auto server = Serve();
  client::Client client(address_);
  EXPECT_TRUE(client.Search("sample", SampleVector(1, 0)).ok());
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(), 0);
}

TEST_F(Process, InterruptDrainsToo) {
  const auto server = Serve();
  server->Signal(SIGINT);
  EXPECT_EQ(server->Wait(), 0);
}

TEST_F(Process, ASecondSignalEndsItAtOnce) {
  const auto server = Serve({"--drain-timeout-ms", "600000", "--read-stall-timeout-ms", "600000"});
  const UnreadStream stream(address_);
  client::Client probe(address_);
  server->Signal(SIGTERM);
  while (probe.CheckHealth().value_or(false)) {
  }
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(), 128 + SIGTERM);
}

TEST_F(Process, ACallThatOutlivesTheDrainIsCancelled) {
  const auto server = Serve({"--drain-timeout-ms", "200", "--read-stall-timeout-ms", "600000"});
  UnreadStream stream(address_);
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(), 0);
  const grpc::StatusCode code = stream.ReadToEnd().error_code();
  EXPECT_TRUE(code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::UNAVAILABLE) << code;
}

// The second of three collections has a pipe for a segment, which opens when the test has it open.
TEST_F(Process, ATermDuringTheStartEndsItBeforeTheNextCollection) {
  for (const char* name : {"first", "held", "later"}) BuildSample(folder_ / name, 1);
  const std::string held = folder_ / "held/segments/000001.seg";
  ASSERT_EQ(unlink(held.c_str()), 0);
  ASSERT_EQ(mkfifo(held.c_str(), 0600), 0);
  std::vector<std::string> arguments = {ServerBinary(), "--grpc-port", "0", "--http-port", "0"};
  for (const char* name : {"first", "held", "later"}) {
    arguments.insert(arguments.end(), {"--index", std::string(name) + "=" + (folder_ / name)});
  }
  Child server(std::move(arguments), /*with_stderr=*/true);
  ASSERT_TRUE(ReadTo(server, "collection 'first': generation 1"));
  server.Signal(SIGTERM);
  ASSERT_TRUE(ReadTo(server, "SIGTERM: stopping"));
  const int pipe = open(held.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(pipe, 0);
  const std::string rest = server.ReadAll();
  EXPECT_EQ(server.Wait(), 0);
  close(pipe);
  EXPECT_THAT(rest, HasSubstr("stopped before it served"));
  EXPECT_THAT(rest, Not(HasSubstr("collection 'later'")));
  EXPECT_THAT(rest, Not(HasSubstr("serving grpc=")));
}

TEST_F(Process, EveryWriteThatWasAcknowledgedOutlivesTheDrain) {
  const std::vector<std::string> arguments = {ServerBinary(), "--data-dir", folder_ / "data"};
  std::vector<client::Id> acknowledged;
  constexpr int kRounds = 4, kEach = 40;
  for (int round = 0; round <= kRounds; ++round) {
    const auto server = Start(arguments, /*with_stderr=*/false);
    auto client = std::make_unique<client::Client>(address_);
    if (round == 0) {
      client::NewCollection wanted;
      wanted.name = "written";
      wanted.dim = kSampleDim;
      wanted.ladder = "16,64";
      const auto made = client->CreateCollection(wanted);
      ASSERT_TRUE(made.ok()) << made.status();
    } else {
      const auto there = client->GetPoints("written", acknowledged, /*with_vector=*/false);
      ASSERT_TRUE(there.ok()) << there.status();
      EXPECT_EQ(there->size(), acknowledged.size()) << "after round " << round;
    }
    if (round == kRounds) break;
    std::atomic<int> answered{0};
    std::atomic<bool> refused{false};
    std::thread writer([&] {
      for (uint32_t row = 0;; ++row) {
        client::NewPoint point;
        point.id = "r" + std::to_string(round) + "-" + std::to_string(row);
        point.vector = SampleVector(9, row);
        if (!client->UpsertPoints("written", {point}, /*durable=*/round % 2 == 0).ok()) break;
        acknowledged.push_back(point.id);
        ++answered;
      }
      refused = true;
      client.reset();  // an idle client sees the end of its connection seconds late, and holds it
    });
    while (answered < kEach && !refused) std::this_thread::yield();
    server->Signal(SIGTERM);
    writer.join();
    EXPECT_EQ(server->Wait(), 0);
  }
  EXPECT_GE(acknowledged.size(), static_cast<size_t>(kRounds) * kEach);
}

TEST_F(Process, HangupTakesLevelKeysAndIndexesOfTheFiles) {
  BuildSample(folder_ / "sample", 1);
  BuildSample(folder_ / "other", 2);
  const auto secret = [](const std::string& id) { return id + std::string(32, 'x'); };
  const auto write = [&](const std::string& level, const std::string& index,
                         const std::string& key) {
    std::ofstream(folder_ / "keys.yaml") << "keys: [{id: " << key << ", role: read, hash: '"
                                         << server::HashKey(secret(key)).value() << "'}]\n";
    std::ofstream(folder_ / "server.yaml")
        << "log-level: " << level << "\napi-keys: " << folder_ / "keys.yaml"
        << "\nindex:\n  " << index << ": " << folder_ / index << "\n";
  };
  write("error", "sample", "first");
  const auto server =
      Start({ServerBinary(), "--config", folder_ / "server.yaml", "--drain-timeout-ms", "2000"},
            /*with_stderr=*/true);
  const auto search = [&](const std::string& index, const std::string& key) {
    client::ConnectionOptions options;
    options.api_key = secret(key);
    return client::Client(address_, options).Search(index, SampleVector(7, 0)).status();
  };
  EXPECT_TRUE(search("sample", "first").ok());
  write("debug", "other", "second");
  server->Signal(SIGHUP);
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (!search("other", "second").ok() && absl::Now() < deadline) {
  }
  EXPECT_TRUE(search("other", "second").ok());
  EXPECT_TRUE(absl::IsUnauthenticated(search("other", "first")));
  EXPECT_TRUE(absl::IsNotFound(search("sample", "second")));
  server->Signal(SIGTERM);
  const std::string log = server->ReadAll();
  EXPECT_EQ(server->Wait(), 0);
  EXPECT_THAT(log, HasSubstr("key=second"));
  EXPECT_THAT(log, Not(HasSubstr("key=first"))) << "the level was error";
}

TEST_F(Process, HangupReloadsEveryCollection) {
  const auto server = Serve();
  client::Client client(address_);
  BuildSample(folder_ / "sample", 3, 300);
  server->Signal(SIGHUP);
  uint64_t rows = 0;
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (rows != 300 && absl::Now() < deadline) {
    const auto collection = client.GetCollection("sample");
    ASSERT_TRUE(collection.ok()) << collection.status();
    rows = collection->rows;
  }
  EXPECT_EQ(rows, 300u);
}

TEST_F(Process, TheClientSearchesAndReports) {
  const auto server = Serve();
  const auto [search_code, search] =
      Run({ClientBinary(), "search", "--server", address_, "--collection", "sample", "--id", "p3",
           "-k", "3", "--include-self", "--funnel", "16:50,64:3"});
  EXPECT_EQ(search_code, 0) << search;
  EXPECT_THAT(search, HasSubstr("point 3"));
  EXPECT_THAT(search, HasSubstr("plan scan/16:50,64:3"));
  const auto [explain_code, explain] = Run({ClientBinary(), "explain", "sample", "--server",
                                            address_, "--id", "p3", "--why-not", "nobody"});
  EXPECT_EQ(explain_code, 0) << explain;
  EXPECT_THAT(explain, HasSubstr("nobody: not in the collection"));
  const auto [status_code, status] = Run({ClientBinary(), "status", "--server", address_});
  EXPECT_EQ(status_code, 0) << status;
  EXPECT_THAT(status, HasSubstr("serving"));
  const auto [list_code, list] =
      Run({ClientBinary(), "--json", "collections", "list", "--server", address_});
  EXPECT_EQ(list_code, 0) << list;
  EXPECT_THAT(list, HasSubstr("\"rows\":500"));
}

TEST_F(Process, TheClientSaysByItsExitCodeWhatWentWrong) {
  const auto server = Serve();
  EXPECT_EQ(Run({ClientBinary(), "search"}).first, 2);
  EXPECT_EQ(Run({ClientBinary(), "search", "-c", "sample"}).first, 2);
  EXPECT_EQ(Run({ClientBinary(), "serve"}).first, 2);
  EXPECT_EQ(Run({ClientBinary(), "--version"}).first, 0);
  EXPECT_EQ(
      Run({ClientBinary(), "search", "-c", "sample", "--server", address_, "--id", "p3", "-k", "0"})
          .first,
      65);
  EXPECT_EQ(Run({ClientBinary(), "search", "-c", "nope", "--server", address_, "--id", "p3"}).first,
            1);
  const auto [file_code, file] = Run(
      {ClientBinary(), "search", "-c", "sample", "--server", address_, "--vector", "/none/q.json"});
  EXPECT_EQ(file_code, 74);
  EXPECT_THAT(file, HasSubstr("/none/q.json"));
  for (const std::string verb : {"search", "explain", "status", "collections"}) {
    EXPECT_EQ(Run({ClientBinary(), verb, "--version"}).first, 0) << verb;
    EXPECT_EQ(Run({ClientBinary(), verb, "--help"}).first, 0) << verb;
  }
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(), 0);
  EXPECT_EQ(Run({ClientBinary(), "status", "--server", address_, "--timeout", "5"}).first, 69);
}

TEST_F(Process, TheServerRefusesWrongUsage) {
  const auto [code, output] = Run({ServerBinary(), "--port", "1"});
  EXPECT_EQ(code, 2);
  EXPECT_THAT(output, HasSubstr("known keys: index, data-dir"));
  const auto [print_code, print] = Run({ServerBinary(), "--print-config", "--grpc-port", "7777"});
  EXPECT_EQ(print_code, 0);
  EXPECT_THAT(print, HasSubstr("grpc-port: 7777  # flag --grpc-port"));
  EXPECT_THAT(print, HasSubstr("bind: 127.0.0.1  # default"));
}

TEST_F(Process, APortThatIsTakenIsNamed) {
  const auto server = Serve();
  const std::string port = address_.substr(address_.find(':') + 1);
  const auto [code, output] = Run({ServerBinary(), "--grpc-port", port, "--http-port", "0"});
  EXPECT_EQ(code, 1);
  EXPECT_THAT(output, HasSubstr("cannot listen on 127.0.0.1:" + port));
}

}  // namespace
}  // namespace mrl
