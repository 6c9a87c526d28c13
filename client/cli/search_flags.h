// The flags that `search` and `explain` share.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "absl/status/statusor.h"
#include "client/cpp/client.h"

namespace mrl::cli {

struct SearchFlags {
  std::string collection;
  std::string id;
  bool text_id = false;
  std::string vector_file;
  client::SearchOptions options;

  void AddTo(CLI::App& verb);
  // Throws CLI::RequiredError where neither an id nor a vector is given.
  void Check() const;
  // Reads the vector's file, if one is named. INVALID_ARGUMENT says what is wrong
  // with it; a file that cannot be read is a LocalFileError.
  absl::StatusOr<client::Query> ReadQuery() const;
};

// A number where `text` is one and `force_text` is off, else the text.
client::Id ParseId(const std::string& text, bool force_text);

}  // namespace mrl::cli
