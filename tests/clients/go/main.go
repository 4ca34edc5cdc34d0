// The official Go SDK as a client, driven over stdin and stdout as tests/support/clients.py says.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

type command struct {
	Do        string         `json:"do"`
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
	Callback  string         `json:"callback"`
}

var lines = bufio.NewScanner(os.Stdin)

func say(message map[string]any) {
	line, _ := json.Marshal(message)
	fmt.Println(string(line))
}

func hear() (command, bool) {
	var heard command
	return heard, lines.Scan() && json.Unmarshal(lines.Bytes(), &heard) == nil
}

// browse has a person log in; there is one call at a time, and it waits for this.
func browse(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	say(map[string]any{"browse": args.URL})
	heard, ok := hear()
	callback, err := url.Parse(heard.Callback)
	if !ok || err != nil {
		return nil, errors.New("no callback")
	}
	query := callback.Query()
	return &auth.AuthorizationResult{Code: query.Get("code"), State: query.Get("state"), Iss: query.Get("iss")}, nil
}

func drive(ctx context.Context, endpoint, redirect string) error {
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL:              redirect,
		AuthorizationCodeFetcher: browse,
		RequestRefreshToken:      true,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "test",
				RedirectURIs:            []string{redirect},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			},
		},
	})
	if err != nil {
		return err
	}
	hear() // "connect": there is nothing else to begin with
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler}, nil)
	if err != nil {
		return err
	}
	say(map[string]any{"version": session.InitializeResult().ProtocolVersion})
	for {
		heard, ok := hear()
		if !ok {
			return session.Close()
		}
		if heard.Do == "list" {
			list(ctx, session)
		} else {
			call(ctx, session, heard)
		}
	}
}

func list(ctx context.Context, session *mcp.ClientSession) {
	found, err := session.ListTools(ctx, nil)
	if err != nil {
		say(map[string]any{"error": err.Error()})
		return
	}
	names := []string{}
	for _, tool := range found.Tools {
		names = append(names, tool.Name)
	}
	say(map[string]any{"tools": names})
}

func call(ctx context.Context, session *mcp.ClientSession, heard command) {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: heard.Tool, Arguments: heard.Arguments})
	if err != nil {
		say(map[string]any{"error": err.Error()})
		return
	}
	text := ""
	for _, content := range result.Content {
		if one, ok := content.(*mcp.TextContent); ok {
			text += one.Text
		}
	}
	if result.IsError {
		say(map[string]any{"error": text})
	} else {
		say(map[string]any{"result": text})
	}
}

func main() {
	var options struct {
		URL         string `json:"url"`
		RedirectURI string `json:"redirect_uri"`
	}
	err := json.Unmarshal([]byte(os.Args[1]), &options)
	if err == nil {
		err = drive(context.Background(), options.URL, options.RedirectURI)
	}
	if err != nil {
		say(map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}
