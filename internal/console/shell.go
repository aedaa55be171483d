package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// dist is the built page: index.html, which is the shell of every page, and the assets that it names.
//
//go:embed dist
var dist embed.FS

// pagePatterns are the pages. Each is the same shell, whose script shows the page of the path; a test compares them with those of
// the script.
var pagePatterns = []string{
	"GET /{$}", "GET /signin", "GET /keys", "GET /keys/new", "GET /keys/{ns}/{name}", "GET /keys/{ns}/{name}/edit", "GET /sessions", "GET /me/sessions",
	"GET /issuers", "GET /issuers/{name}", "GET /verify",
}

// file is a file of the page. Its tag is made of its content.
type file struct {
	name, kind, tag string
	plain, zipped   []byte
}

// shell registers the pages and the assets. The shell names each asset below the base path, which the script reads from its own URL,
// and with the hash of its content, so that browsers may keep it forever.
func (s *Server) shell() error {
	page, err := builtPage()
	if err != nil {
		return err
	}
	for _, pattern := range pagePatterns {
		s.pages.HandleFunc(pattern, http.NotFound)
	}
	s.serveFiles(page.index, page.assets)
	return nil
}

// serveFiles registers the pages with their shell, and its assets.
func (s *Server) serveFiles(index file, assets []file) {
	html := string(index.plain)
	for _, asset := range assets {
		html = strings.ReplaceAll(html, `="`+asset.name+`"`, `="`+s.base+asset.name+"?v="+asset.tag+`"`)
		s.handle("GET /"+asset.name, asset.serve)
	}
	s.page = newFile("index.html", []byte(html))
	for _, pattern := range pagePatterns {
		s.handle(pattern, s.page.serve)
	}
}

// noRoute answers a request without a route, whose path below the base path is below: a browser that opens a page gets the shell,
// which says so, and all others a failure.
func (s *Server) noRoute(w http.ResponseWriter, r *http.Request, below string) {
	if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "text/html") || strings.HasPrefix(below, "api/") || strings.HasPrefix(below, "auth/") {
		s.refuse(w, r, errNoRoute)
		return
	}
	body := s.page.describe(w, r)
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(body)
}

// loaded is the built page as it is served, which never changes.
type loaded struct {
	index  file
	assets []file
}

// builtPage returns the built page. It is read and compressed once for all servers of a process.
var builtPage = sync.OnceValues(func() (*loaded, error) {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, err
	}
	index, assets, err := load(built)
	return &loaded{index: index, assets: assets}, err
})

// load reads a built page.
func load(built fs.FS) (index file, assets []file, err error) {
	err = fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(built, name)
		if err != nil {
			return fmt.Errorf("read %s of the page: %w", name, err)
		}
		if made := newFile(name, body); name == "index.html" {
			index = made
		} else {
			assets = append(assets, made)
		}
		return nil
	})
	return index, assets, err
}

// tagLength is how much of a hash names a content.
const tagLength = 16

func newFile(name string, body []byte) file {
	sum := sha256.Sum256(body)
	made := file{name: name, kind: kindOf(name), tag: hex.EncodeToString(sum[:])[:tagLength], plain: body}
	var zipped bytes.Buffer
	writer := gzip.NewWriter(&zipped)
	_, _ = writer.Write(body)
	_ = writer.Close()
	if zipped.Len() < len(body) {
		made.zipped = zipped.Bytes()
	}
	return made
}

// kindOf returns the content type of a file by its name. Those of the page do not depend on the machine.
func kindOf(name string) string {
	switch extension := path.Ext(name); extension {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".webmanifest":
		return "application/manifest+json"
	default:
		if kind := mime.TypeByExtension(extension); kind != "" {
			return kind
		}
		return "application/octet-stream"
	}
}

// serve answers with the file.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	body := f.describe(w, r)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(body))
}

// describe sets the headers of the file, and returns its content as the browser accepts it.
func (f *file) describe(w http.ResponseWriter, r *http.Request) []byte {
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.tag {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	header.Set("Vary", "Accept-Encoding")
	body, tag := f.plain, f.tag
	if f.zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		body, tag = f.zipped, f.tag+"-gzip"
	}
	header.Set("ETag", `"`+tag+`"`)
	return body
}
