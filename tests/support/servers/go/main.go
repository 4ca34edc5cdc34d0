// Command servers answers `protected` at /mcp and below, else `public`: with net/http, or fiber.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"
)

func main() {
	address := "127.0.0.1:" + os.Args[2]
	switch os.Args[1] {
	case "net-http":
		log.Fatal(http.ListenAndServe(address, mux()))
	case "fiber":
		log.Fatal(app().Listen(address))
	}
}

// The standard library's routing, and what many write by hand before it.
func mux() http.Handler {
	protect := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "protected") }
	routes := http.NewServeMux()
	routes.HandleFunc("/mcp", protect)
	routes.HandleFunc("/mcp/", protect)
	routes.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "public") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if clean := path.Clean(r.URL.Path); clean == "/mcp" || strings.HasPrefix(clean, "/mcp/") {
			protect(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
}

func app() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true, UnescapePath: true})
	app.All("/mcp", func(c *fiber.Ctx) error { return c.SendString("protected") })
	app.All("/mcp/*", func(c *fiber.Ctx) error { return c.SendString("protected") })
	app.Use(func(c *fiber.Ctx) error { return c.SendString("public") })
	return app
}
