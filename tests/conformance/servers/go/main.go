// An ordinary MCP server on the official Go SDK; it has the tools that ../../story.py calls.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type echoInput struct {
	Text string `json:"text"`
}

type countInput struct {
	To                int `json:"to"`
	MillisecondsApart int `json:"milliseconds_apart"`
}

var cancelled atomic.Int32

func text(format string, values ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, values...)}}}
}

func echo(_ context.Context, _ *mcp.CallToolRequest, input echoInput) (*mcp.CallToolResult, any, error) {
	return text("%s", input.Text), nil, nil
}

func count(ctx context.Context, request *mcp.CallToolRequest, input countInput) (*mcp.CallToolResult, any, error) {
	for step := 1; step <= input.To; step++ {
		if token := request.Params.GetProgressToken(); token != nil {
			progress := &mcp.ProgressNotificationParams{ProgressToken: token, Progress: float64(step), Total: float64(input.To)}
			_ = request.Session.NotifyProgress(ctx, progress)
		}
		select {
		case <-ctx.Done():
			cancelled.Add(1)
			return nil, nil, ctx.Err()
		case <-time.After(time.Duration(input.MillisecondsApart) * time.Millisecond):
		}
	}
	return text("counted to %d", input.To), nil, nil
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "harness", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Returns the text."}, echo)
	mcp.AddTool(server, &mcp.Tool{Name: "count", Description: "Counts slowly, with a progress notification for each step."}, count)
	mcp.AddTool(server, &mcp.Tool{Name: "cancelled", Description: "The number of counts that were cancelled."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return text("%d", cancelled.Load()), nil, nil
		})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"port\": %d}\n", listener.Addr().(*net.TCPAddr).Port)
	mux := http.NewServeMux()
	mux.Handle("/mcp", handler)
	log.Fatal(http.Serve(listener, mux))
}
