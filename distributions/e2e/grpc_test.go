//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// grpcClient asks like grpcurl: it knows nothing but what reflection tells.
type grpcClient struct {
	connection *grpc.ClientConn
	files      map[string]*descriptorpb.FileDescriptorProto
}

func dial(t *testing.T, address string) *grpcClient {
	t.Helper()
	connection, err := grpc.NewClient(strings.TrimPrefix(address, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, connection.Close()) })
	return &grpcClient{connection: connection, files: map[string]*descriptorpb.FileDescriptorProto{}}
}

// method finds a method by its full name, such as phoenix.v1.Policies.GetPolicy.
func (c *grpcClient) method(ctx context.Context, name string) (protoreflect.MethodDescriptor, error) {
	stream, err := grpc_reflection_v1.NewServerReflectionClient(c.connection).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.CloseSend() }()
	if err := c.fetch(stream, &grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	}); err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	for _, f := range c.files {
		set.File = append(set.File, f)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, err
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		return nil, err
	}
	return found.(protoreflect.MethodDescriptor), nil
}

// fetch asks for files and all that they import.
func (c *grpcClient) fetch(stream grpc_reflection_v1.ServerReflection_ServerReflectionInfoClient, request *grpc_reflection_v1.ServerReflectionRequest) error {
	if err := stream.Send(request); err != nil {
		return err
	}
	answer, err := stream.Recv()
	if err != nil {
		return err
	}
	if refusal := answer.GetErrorResponse(); refusal != nil {
		return fmt.Errorf("reflection: %s", refusal.GetErrorMessage())
	}
	var missing []string
	for _, raw := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, file); err != nil {
			return err
		}
		c.files[file.GetName()] = file
		missing = append(missing, file.GetDependency()...)
	}
	for _, name := range missing {
		if c.files[name] == nil {
			if err := c.fetch(stream, &grpc_reflection_v1.ServerReflectionRequest{
				MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileByFilename{FileByFilename: name},
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// call calls a method, such as Policies/GetPolicy, with JSON and returns JSON.
func (c *grpcClient) call(t *testing.T, method, request string) (map[string]any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := c.method(ctx, "phoenix.v1."+strings.ReplaceAll(method, "/", "."))
	require.NoError(t, err)
	in, out := dynamicpb.NewMessage(d.Input()), dynamicpb.NewMessage(d.Output())
	require.NoError(t, protojson.UnmarshalOptions{Resolver: dynamicpb.NewTypes(protoregistry.GlobalFiles)}.Unmarshal([]byte(request), in))
	if err := c.connection.Invoke(ctx, "/phoenix.v1."+method, in, out); err != nil {
		return nil, err
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(out)
	require.NoError(t, err)
	answer := map[string]any{}
	require.NoError(t, json.Unmarshal(raw, &answer))
	return answer, nil
}

// Preview, enforce and roll back through gRPC, by a client that knows the API
// from reflection alone.
func TestPolicyThroughGRPC(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.awaitShop(t, shopSeries)
	client := dial(t, d.address)
	const named = `{"namespace": "default", "name": "drop-pod"}`

	answer, err := client.call(t, "Policies/CreatePolicy", `{"preview": true, "policy": {"name": "drop-pod", "spec": {"rules": [
		{"match": {"metric": "shop_*"}, "attributes": {"drop": ["pod"]}}]}}}`)
	require.NoError(t, err)
	assert.Equal(t, "preview", answer["state"])
	_, err = client.call(t, "Policies/EnforcePolicy", named)
	assert.Equal(t, codes.FailedPrecondition, status.Code(err), "nobody saw yet what it saves: %v", err)
	d.awaitMeasured(t)

	saving, err := client.call(t, "Savings/GetSaving", named)
	require.NoError(t, err)
	assert.Equal(t, "USD", saving["currency"])
	answer, err = client.call(t, "Policies/EnforcePolicy", named)
	require.NoError(t, err)
	assert.Equal(t, "enforced", answer["state"])
	d.awaitShop(t, shopWithoutPods)

	answer, err = client.call(t, "Policies/RollbackPolicy", `{"namespace": "default", "name": "drop-pod", "revision": 1}`)
	require.NoError(t, err)
	assert.Equal(t, "preview", answer["state"])
	d.awaitShop(t, shopSeries)
	proof, err := client.call(t, "Audit/VerifyAudit", `{}`)
	require.NoError(t, err)
	assert.Equal(t, true, proof["intact"])
	d.assertAudit(t, "policies.create", "policies.enforce", "policies.rollback")
	_, err = client.call(t, "Policies/GetPolicy", `{"namespace": "default", "name": "nobody"}`)
	assert.Equal(t, codes.NotFound, status.Code(err))
}
