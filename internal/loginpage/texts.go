package loginpage

import "golang.org/x/text/language"

// Failure is why a try to sign in failed.
type Failure string

// The failures. The answer never says whether the user name or the password was wrong.
const (
	WrongPassword Failure = "WrongPassword"
	TooManyTries  Failure = "TooManyTries"
	MissingEntry  Failure = "MissingEntry"
	// ProviderRefused is of a provider that did not sign the person in, or of an answer that does not prove who the person is.
	ProviderRefused Failure = "ProviderRefused"
	// ProviderAway is of a provider that does not answer.
	ProviderAway Failure = "ProviderAway"
)

// Reason is why a sign-in cannot go on.
type Reason string

// The reasons.
const (
	// Expired is of a step that took too long, or that was begun in another browser.
	Expired Reason = "Expired"
	// BadRequest is of an application that is not known, or that asks for an address to return to which is not its own.
	BadRequest Reason = "BadRequest"
	// OtherSite is of a form that another site sent.
	OtherSite Reason = "OtherSite"
	// Unavailable is of a service that cannot decide now.
	Unavailable Reason = "Unavailable"
	// Internal is of a fault of the service.
	Internal Reason = "Internal"
)

// Texts are the texts of one language.
type Texts struct {
	SignIn, To, User, Password, Continue string
	Or, GoTo                             string
	Allow, AllowQuestion, SignedInAs     string
	For, Permissions, Yes, No            string
	AfterThat, Details                   string
	Failures                             map[Failure]string
	Problems                             map[Reason]Said
}

// Said is what a page says about a problem, and what the person can do.
type Said struct{ Heading, Advice string }

// languages are those of the catalogue. The first one is for all others.
var languages = []language.Tag{language.English, language.German, language.French}

var matcher = language.NewMatcher(languages)

// textsFor returns the texts for an Accept-Language header (RFC 9110 §12.5.4), and their language.
func textsFor(header string) (*Texts, string) {
	at := languageFor(header)
	return &catalogue[at], languages[at].String()
}

// languageFor returns the place in languages of the best one for an Accept-Language header.
func languageFor(header string) int {
	preferred, _, err := language.ParseAcceptLanguage(header)
	at := 0
	if err == nil && len(preferred) > 0 {
		_, at, _ = matcher.Match(preferred...)
	}
	return at
}

// catalogue has the texts of each of languages, in their order.
var catalogue = [...]Texts{
	{
		SignIn: "Sign in", To: "to continue to", User: "User name", Password: "Password", Continue: "Sign in",
		Or: "or", GoTo: "Go to",
		Allow: "Allow access", AllowQuestion: "wants to use your account", SignedInAs: "You are signed in as", For: "Access to",
		Permissions: "With these permissions", Yes: "Allow", No: "Deny",
		AfterThat: "You go back to the application afterwards.", Details: "For the people who run the application",
		Failures: map[Failure]string{
			WrongPassword:   "The user name or the password is wrong.",
			TooManyTries:    "Too many tries. Wait a moment, and try again.",
			MissingEntry:    "Enter your user name and your password.",
			ProviderRefused: "The provider did not sign you in.",
			ProviderAway:    "The provider is not available now. Try again in a moment.",
		},
		Problems: map[Reason]Said{
			Expired:     {"This page has expired", "Go back to the application, and sign in again. Cookies must be on."},
			BadRequest:  {"The application cannot sign you in", "Its request is not valid. You can do nothing about it here; tell the people who run the application."},
			OtherSite:   {"This form was sent by another site", "Go back to the application, and sign in again."},
			Unavailable: {"Sign-in is not available now", "Try again in a moment."},
			Internal:    {"Something went wrong", "Go back to the application, and sign in again."},
		},
	},
	{
		SignIn: "Anmelden", To: "weiter zu", User: "Benutzername", Password: "Passwort", Continue: "Anmelden",
		Or: "oder", GoTo: "Weiter zu",
		Allow: "Zugriff erlauben", AllowQuestion: "möchte Ihr Konto verwenden", SignedInAs: "Sie sind angemeldet als", For: "Zugriff auf",
		Permissions: "Mit diesen Berechtigungen", Yes: "Erlauben", No: "Ablehnen",
		AfterThat: "Danach kehren Sie zur Anwendung zurück.", Details: "Für die Betreiber der Anwendung",
		Failures: map[Failure]string{
			WrongPassword:   "Der Benutzername oder das Passwort ist falsch.",
			TooManyTries:    "Zu viele Versuche. Warten Sie einen Moment, und versuchen Sie es noch einmal.",
			MissingEntry:    "Geben Sie Ihren Benutzernamen und Ihr Passwort ein.",
			ProviderRefused: "Der Anbieter hat Sie nicht angemeldet.",
			ProviderAway:    "Der Anbieter ist gerade nicht erreichbar. Versuchen Sie es gleich noch einmal.",
		},
		Problems: map[Reason]Said{
			Expired:     {"Diese Seite ist abgelaufen", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an. Cookies müssen erlaubt sein."},
			BadRequest:  {"Die Anwendung kann Sie nicht anmelden", "Ihre Anfrage ist ungültig. Sie können hier nichts tun; wenden Sie sich an die Betreiber der Anwendung."},
			OtherSite:   {"Eine andere Website hat dieses Formular gesendet", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an."},
			Unavailable: {"Die Anmeldung ist gerade nicht möglich", "Versuchen Sie es gleich noch einmal."},
			Internal:    {"Es ist ein Fehler aufgetreten", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an."},
		},
	},
	{
		SignIn: "Se connecter", To: "pour continuer vers", User: "Nom d’utilisateur", Password: "Mot de passe", Continue: "Se connecter",
		Or: "ou", GoTo: "Aller à",
		Allow: "Autoriser l’accès", AllowQuestion: "souhaite utiliser votre compte", SignedInAs: "Vous êtes connecté en tant que", For: "Accès à",
		Permissions: "Avec ces autorisations", Yes: "Autoriser", No: "Refuser",
		AfterThat: "Vous reviendrez ensuite à l’application.", Details: "Pour les responsables de l’application",
		Failures: map[Failure]string{
			WrongPassword:   "Le nom d’utilisateur ou le mot de passe est incorrect.",
			TooManyTries:    "Trop de tentatives. Attendez un moment, puis réessayez.",
			MissingEntry:    "Saisissez votre nom d’utilisateur et votre mot de passe.",
			ProviderRefused: "Le fournisseur ne vous a pas connecté.",
			ProviderAway:    "Le fournisseur est indisponible pour le moment. Réessayez dans un instant.",
		},
		Problems: map[Reason]Said{
			Expired:     {"Cette page a expiré", "Revenez à l’application et connectez-vous à nouveau. Les cookies doivent être autorisés."},
			BadRequest:  {"L’application ne peut pas vous connecter", "Sa demande n’est pas valide. Vous ne pouvez rien faire ici ; prévenez les responsables de l’application."},
			OtherSite:   {"Un autre site a envoyé ce formulaire", "Revenez à l’application et connectez-vous à nouveau."},
			Unavailable: {"La connexion est indisponible pour le moment", "Réessayez dans un instant."},
			Internal:    {"Une erreur s’est produite", "Revenez à l’application et connectez-vous à nouveau."},
		},
	},
}
