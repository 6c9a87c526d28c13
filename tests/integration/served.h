// A server in this process with a client to it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "client/cpp/client.h"
#include "server/server.h"
#include "tests/integration/sample.h"

namespace mrl {

// Serves the collection `sample` (seed 1), and `broken`, which is damaged.
class Served : public ::testing::Test {
 protected:
  void SetUp() override;
  // What a test wants otherwise, before the server starts.
  virtual void Configure(server::Config*) {}

  // A direct connection, for requests that the typed client would not make.
  client::Connection& wire() { return *wire_; }
  client::Client& client() { return *client_; }
  // The reply's ids in order.
  static std::vector<std::string> Ids(const client::SearchResult& result);

  Folder folder_;
  server::Config config_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<client::Connection> wire_;
  std::unique_ptr<client::Client> client_;
};

// The code and a part of the message.
void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& message);

}  // namespace mrl
