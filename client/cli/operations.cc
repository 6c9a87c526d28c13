// mrl operations: list, get, wait, cancel, delete.
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/operation_wait.h"
#include "client/cli/output.h"

namespace mrl::cli {
namespace {

constexpr std::chrono::seconds kLineEvery{10};

const char* StateOf(const client::Operation& operation) {
  if (!operation.done) return operation.cancel_requested ? "stopping" : "running";
  return operation.error_code == 0 ? "done" : "failed";
}

std::string ProgressOf(const client::Operation& operation) {
  return absl::StrCat(operation.rows_done, "/", operation.rows);
}

void Print(const client::Operation& operation, const Globals& globals) {
  if (globals.json) return PrintJson(ToJson(operation));
  PrintTable({{"name", operation.name},
              {"method", operation.method},
              {"collection", operation.collection},
              {"state", StateOf(operation)},
              {"rows", ProgressOf(operation)}});
  if (!operation.error_message.empty()) std::printf("error: %s\n", operation.error_message.c_str());
  if (!operation.response_json.empty()) std::printf("%s\n", operation.response_json.c_str());
}

absl::Status List(client::Client& client, const Globals& globals) {
  MRL_ASSIGN_OR_RETURN(const auto operations, client.ListOperations());
  if (globals.json) {
    nlohmann::json out = nlohmann::json::array();
    for (const client::Operation& operation : operations) out.push_back(ToJson(operation));
    PrintJson(out);
    return absl::OkStatus();
  }
  std::vector<std::vector<std::string>> table = {{"name", "method", "collection", "state", "rows"}};
  for (const client::Operation& one : operations) {
    table.push_back({one.name, one.method, one.collection, StateOf(one), ProgressOf(one)});
  }
  PrintTable(table);
  return absl::OkStatus();
}

absl::Status Get(client::Client& client, const Globals& globals, const std::string& name) {
  MRL_ASSIGN_OR_RETURN(const client::Operation operation, client.GetOperation(name));
  Print(operation, globals);
  return absl::OkStatus();
}

absl::Status Wait(client::Client& client, const Globals& globals, const std::string& name) {
  MRL_ASSIGN_OR_RETURN(client::Operation operation, client.GetOperation(name));
  MRL_ASSIGN_OR_RETURN(operation, WaitFor(client, std::move(operation)));
  Print(operation, globals);
  return absl::OkStatus();
}

absl::Status Cancel(client::Client& client, const Globals&, const std::string& name) {
  return client.CancelOperation(name);
}

absl::Status Delete(client::Client& client, const Globals&, const std::string& name) {
  return client.DeleteOperation(name);
}

using Run = absl::Status (*)(client::Client&, const Globals&, const std::string&);

void AddOne(CLI::App& operations, const char* verb_name, const char* about, Run run, Verb* verb) {
  auto name = std::make_shared<std::string>();
  CLI::App* one = operations.add_subcommand(verb_name, about);
  one->add_option("name", *name, "operations/ID")->required();
  RunWith(*one, name, run, verb);
}

}  // namespace

nlohmann::json ToJson(const client::Operation& operation) {
  nlohmann::json json = {{"name", operation.name},
                         {"method", operation.method},
                         {"collection", operation.collection},
                         {"state", StateOf(operation)},
                         {"done", operation.done},
                         {"rows_done", operation.rows_done},
                         {"rows", operation.rows},
                         {"error_code", operation.error_code},
                         {"error_message", operation.error_message}};
  if (!operation.response_json.empty()) {
    json["response"] = nlohmann::json::parse(operation.response_json, nullptr, false);
  }
  return json;
}

absl::StatusOr<client::Operation> WaitFor(client::Client& client, client::Operation operation) {
  auto last = std::chrono::steady_clock::now();
  const auto heard = [&last](const client::Operation& now) {
    if (now.done || std::chrono::steady_clock::now() - last < kLineEvery) return absl::OkStatus();
    last = std::chrono::steady_clock::now();
    std::fprintf(stderr, "%s: %s rows\n", now.name.c_str(), ProgressOf(now).c_str());
    return absl::OkStatus();
  };
  MRL_ASSIGN_OR_RETURN(client::Operation ended, client.Wait(std::move(operation), heard));
  if (ended.error_code == 0) return ended;
  return absl::Status(static_cast<absl::StatusCode>(ended.error_code), ended.error_message);
}

void AddNoWait(CLI::App& verb, bool* no_wait) {
  verb.add_flag("--no-wait", *no_wait, "Print the operation's name and do not wait for its end");
}

absl::Status End(client::Client& client, const Globals& globals,
                 const absl::StatusOr<client::Operation>& begun, bool no_wait) {
  MRL_RETURN_IF_ERROR(begun.status());
  if (no_wait) {
    if (globals.json) {
      PrintJson(ToJson(*begun));
    } else {
      std::printf("%s\n", begun->name.c_str());
    }
    return absl::OkStatus();
  }
  MRL_ASSIGN_OR_RETURN(const client::Operation ended, WaitFor(client, *begun));
  Print(ended, globals);
  return absl::OkStatus();
}

void AddOperations(CLI::App& app, Verb* verb) {
  CLI::App* operations = app.add_subcommand("operations", "Work that goes on after its call");
  operations->require_subcommand(1);
  operations->add_subcommand("list", "All operations")->callback([verb] { *verb = List; });
  AddOne(*operations, "get", "One operation", Get, verb);
  AddOne(*operations, "wait", "Wait until it has ended", Wait, verb);
  AddOne(*operations, "cancel", "Ask it to stop", Cancel, verb);
  AddOne(*operations, "delete", "Forget one that has ended", Delete, verb);
}

}  // namespace mrl::cli
