// mrl classify: the label that most of the nearest points have.
#include <cstdio>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "client/cli/command.h"
#include "client/cli/output.h"
#include "client/cli/search_flags.h"

namespace mrl::cli {
namespace {

struct ClassifyFlags {
  SearchFlags query;
  std::string field;
  uint32_t k = 10;
  double confidence = 0.95;
};

absl::Status Run(client::Client& client, const Globals& globals, const ClassifyFlags& flags) {
  MRL_ASSIGN_OR_RETURN(const client::Query query, flags.query.ReadQuery());
  MRL_ASSIGN_OR_RETURN(
      const client::Classification found,
      client.Classify(flags.query.collection, query, flags.field, flags.k, flags.confidence));
  if (globals.json) {
    PrintJson({{"label", found.label},
               {"vote_share", found.vote_share},
               {"confidence", found.confidence},
               {"dims", found.dims},
               {"multiply_adds", found.stats.multiply_adds}});
    return absl::OkStatus();
  }
  std::printf("%s: %.2f of the neighbours at %u dims; so clear a vote is right in %.2f\n",
              found.label.empty() ? "no label" : found.label.c_str(), found.vote_share, found.dims,
              found.confidence);
  return absl::OkStatus();
}

}  // namespace

void AddClassify(CLI::App& app, Verb* verb) {
  CLI::App* classify =
      app.add_subcommand("classify", "Find the label that most of the nearest points have");
  const auto flags = std::make_shared<ClassifyFlags>();
  SearchFlags& query = flags->query;
  classify->add_option("collection,-c,--collection", query.collection, "Name of the collection")
      ->required();
  CLI::Option* id =
      classify->add_option("--id", query.id, "Classify this point; digits are a number id");
  classify->add_flag("--text-id", query.text_id, "Digits in --id are text");
  classify
      ->add_option("--vector", query.vector_file, "Classify this vector: a file with a JSON array")
      ->excludes(id);
  classify->add_option("--field", flags->field, "Payload field that holds the label")->required();
  classify->add_option("-k,--k", flags->k, "Neighbours that vote, 1 to 10000")
      ->capture_default_str();
  classify
      ->add_option("--confidence", flags->confidence,
                   "Share of right answers that a prefix has to promise")
      ->capture_default_str();
  classify->callback([verb, flags] {
    flags->query.Check();
    *verb = [flags](client::Client& client, const Globals& globals) {
      return Run(client, globals, *flags);
    };
  });
}

}  // namespace mrl::cli
