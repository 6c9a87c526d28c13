#include "tests/integration/raw_call.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace mrl {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::MethodDescriptor;

bool IsText(const FieldDescriptor* field) {
  return field != nullptr && field->type() == FieldDescriptor::TYPE_STRING && !field->is_repeated();
}

// Sets `collection`, `collection.name`, `search.collection` or `name`, whichever there is.
void Name(const std::string& collection, Message* message) {
  const Descriptor* type = message->GetDescriptor();
  const auto* reflection = message->GetReflection();
  const FieldDescriptor* search = type->FindFieldByName("search");
  const FieldDescriptor* whole = type->FindFieldByName("collection");
  if (whole != nullptr && whole->message_type() != nullptr) {
    Name(collection, reflection->MutableMessage(message, whole));
  } else if (IsText(type->FindFieldByName("collection"))) {
    reflection->SetString(message, type->FindFieldByName("collection"), collection);
  } else if (search != nullptr && search->message_type() != nullptr) {
    Name(collection, reflection->MutableMessage(message, search));
  } else if (IsText(type->FindFieldByName("name"))) {
    reflection->SetString(message, type->FindFieldByName("name"), collection);
  }
}

// Waits for the one event that is on its way.
bool Next(grpc::CompletionQueue* queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue->Next(&tag, &ok) && ok;
}

std::string TextOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return text;
}

}  // namespace

std::shared_ptr<grpc::Channel> UnlimitedChannel(const std::string& address,
                                                grpc::ChannelArguments arguments) {
  arguments.SetMaxSendMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

RawReply RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& request,
                 const std::multimap<std::string, std::string>& metadata,
                 std::chrono::milliseconds timeout) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareCall(&context, path, &queue);
  call->StartCall(nullptr);
  Next(&queue);
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  Next(&queue);
  RawReply reply;
  grpc::ByteBuffer buffer;
  for (call->Read(&buffer, nullptr); Next(&queue); call->Read(&buffer, nullptr)) {
    reply.messages.push_back(TextOf(buffer));
  }
  call->Finish(&reply.status, nullptr);
  Next(&queue);
  return reply;
}

std::vector<const MethodDescriptor*> DeclaredMethods() {
  std::vector<const MethodDescriptor*> methods;
  const std::filesystem::path root(std::getenv("MRL_SOURCE_DIR"));
  for (const auto& entry : std::filesystem::directory_iterator(root / "proto/mrl/v1")) {
    const std::string name = "mrl/v1/" + entry.path().filename().string();
    const FileDescriptor* file = DescriptorPool::generated_pool()->FindFileByName(name);
    EXPECT_NE(file, nullptr) << name << " is declared and not served";
    if (file == nullptr) continue;
    for (int i = 0; i < file->service_count(); ++i) {
      for (int j = 0; j < file->service(i)->method_count(); ++j) {
        methods.push_back(file->service(i)->method(j));
      }
    }
  }
  const auto* operations =
      DescriptorPool::generated_pool()->FindServiceByName("google.longrunning.Operations");
  EXPECT_NE(operations, nullptr);
  for (int i = 0; operations != nullptr && i < operations->method_count(); ++i) {
    // Not offered, and said so where operations are described.
    if (operations->method(i)->name() == "WaitOperation") continue;
    methods.push_back(operations->method(i));
  }
  return methods;
}

std::string PathOf(const MethodDescriptor& method) {
  return "/" + method.service()->full_name() + "/" + method.name();
}

std::string RequestNaming(const MethodDescriptor& method, const std::string& collection) {
  const Message* prototype = MessageFactory::generated_factory()->GetPrototype(method.input_type());
  const std::unique_ptr<Message> message(prototype->New());
  Name(collection, message.get());
  return message->SerializeAsString();
}

}  // namespace mrl
