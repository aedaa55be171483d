// Package loginpage makes the pages that people see when they sign in with a browser. They need no script. Each is one document with
// its style, so that nothing else is fetched.
package loginpage

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"strings"
)

//go:embed page.html
var pageSource string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	// The style is a part of this package.
	"style": func() template.CSS { return template.CSS(style) }, //nolint:gosec // as above
}).Parse(pageSource))

// styleHash is how Content-Security-Policy names the style.
var styleHash = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// Policy returns the Content-Security-Policy of a page. Its forms lead to the issuer itself, and from there by redirects to targets:
// origins, and schemes with their colon.
func Policy(targets ...string) string {
	return "default-src 'none'; style-src " + styleHash + "; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action " +
		strings.Join(append([]string{"'self'"}, targets...), " ")
}

// Login is the page with the ways to sign in.
type Login struct {
	// Application is the name of the client; empty for a sign-in that leads to a device.
	Application string
	// Action is the URL that the form with a user name and a password is sent to; empty for no such form.
	Action string
	// Providers are those at which people can sign in, and Choose is the URL that the choice is sent to.
	Providers []Provider
	Choose    string
	// Step is sent back with each form.
	Step string
	// User is the proposed user name.
	User string
	// Failure says why the last try failed; empty for none.
	Failure Failure
}

// Provider is a button of the login page.
type Provider struct{ ID, Name string }

// Away is the page that leads to a provider, at once by RefreshTo and otherwise by its link. It is not a redirect: browsers apply form-action
// to each redirect after a form, also to those of the provider, which no policy can list.
type Away struct {
	Application string
	// Provider is the name of the provider, and To the URL there.
	Provider, To string
}

// RefreshTo returns the value of the Refresh header with which a page leads to a URL at once.
func RefreshTo(to string) string { return "0; url=" + to }

// Consent is the page that asks whether an application may have tokens.
type Consent struct {
	Application string
	Action      string
	Step        string
	// Subject is the person who has signed in, and Audience the API that the tokens are for.
	Subject, Audience string
	Scopes            []string
}

// Problem is the page for a sign-in that cannot go on.
type Problem struct {
	Reason Reason
	// Detail is a sentence in English for the people who run the application; empty for none.
	Detail string
}

// content is what the template shows: one of the pages, and the texts of its language.
type content struct {
	Texts *Texts
	Lang  string
	Title string
	Login *Login
	Away  *Away
	// Consent is set for a Question, too, which adds the device.
	Consent  *Consent
	Entry    *Entry
	Question *Question
	Failure  string
	// Said is of a page that only says something, and Detail goes with it.
	Said   *Said
	Detail string
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (l *Login) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	shown := *l
	if shown.Application == "" {
		shown.Application = texts.YourDevice
	}
	return render(&content{Texts: texts, Lang: lang, Title: texts.SignIn, Login: &shown, Failure: texts.Failures[l.Failure]})
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (a *Away) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	return render(&content{Texts: texts, Lang: lang, Title: texts.SignIn, Away: a})
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (c *Consent) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	return render(&content{Texts: texts, Lang: lang, Title: texts.Allow, Consent: c})
}

// Render returns the page in the language that the browser prefers, by its Accept-Language header.
func (p *Problem) Render(languages string) []byte {
	texts, lang := textsFor(languages)
	said := texts.Problems[p.Reason]
	return render(&content{Texts: texts, Lang: lang, Title: said.Heading, Said: &said, Detail: p.Detail})
}

func render(c *content) []byte {
	var out bytes.Buffer
	if err := page.Execute(&out, c); err != nil {
		// The template and its values are those of this package, and a buffer takes every write.
		panic(err)
	}
	return out.Bytes()
}
