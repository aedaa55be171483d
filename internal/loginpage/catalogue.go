package loginpage

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
			WrongCode:       "The code is wrong, or it has expired. Compare it with the one on your device.",
		},
		Problems: map[Reason]Said{
			Expired:     {"This page has expired", "Go back to the application, and sign in again. Cookies must be on."},
			BadRequest:  {"The application cannot sign you in", "Its request is not valid. You can do nothing about it here; tell the people who run the application."},
			OtherSite:   {"This form was sent by another site", "Go back to the application, and sign in again."},
			Unavailable: {"Sign-in is not available now", "Try again in a moment."},
			Internal:    {"Something went wrong", "Go back to the application, and sign in again."},
		},
		YourDevice: "your device", ConnectDevice: "Sign in a device", EnterCode: "Enter the code that your device shows.", CodeLabel: "Code", Next: "Continue",
		DeviceQuestion: "wants to use your account on a device", DeviceAddress: "Network address of the device", UnknownAddress: "not known",
		DeviceWarning: "Allow this only if you began it yourself, on a device of your own that shows this code. " +
			"If a message, a call or a page gave you the code or the link, press Deny: others would get access to your account.",
		Ends: map[End]Said{
			DeviceAllowed:    {"Your device is being signed in", "You can close this page, and go back to your device."},
			DeviceDenied:     {"You denied the access", "The device gets nothing. You can close this page."},
			DeviceDecided:    {"This code was used already", "Begin again on your device, and enter the new code."},
			DeviceTooLate:    {"This code has expired", "Begin again on your device, and enter the new code."},
			DeviceNotGranted: {"You cannot use this application", "Your account has no access to it. Ask the people who run the application."},
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
			WrongCode:       "Der Code ist falsch oder abgelaufen. Vergleichen Sie ihn mit dem auf Ihrem Gerät.",
		},
		Problems: map[Reason]Said{
			Expired:     {"Diese Seite ist abgelaufen", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an. Cookies müssen erlaubt sein."},
			BadRequest:  {"Die Anwendung kann Sie nicht anmelden", "Ihre Anfrage ist ungültig. Sie können hier nichts tun; wenden Sie sich an die Betreiber der Anwendung."},
			OtherSite:   {"Eine andere Website hat dieses Formular gesendet", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an."},
			Unavailable: {"Die Anmeldung ist gerade nicht möglich", "Versuchen Sie es gleich noch einmal."},
			Internal:    {"Es ist ein Fehler aufgetreten", "Kehren Sie zur Anwendung zurück, und melden Sie sich neu an."},
		},
		YourDevice: "Ihrem Gerät", ConnectDevice: "Ein Gerät anmelden", EnterCode: "Geben Sie den Code ein, den Ihr Gerät anzeigt.", CodeLabel: "Code", Next: "Weiter",
		DeviceQuestion: "möchte Ihr Konto auf einem Gerät verwenden", DeviceAddress: "Netzwerkadresse des Geräts", UnknownAddress: "nicht bekannt",
		DeviceWarning: "Erlauben Sie dies nur, wenn Sie selbst auf einem eigenen Gerät begonnen haben, das diesen Code anzeigt. " +
			"Wenn Sie den Code oder den Link aus einer Nachricht, einem Anruf oder einer Seite haben, wählen Sie Ablehnen: Andere erhielten sonst Zugriff auf Ihr Konto.",
		Ends: map[End]Said{
			DeviceAllowed:    {"Ihr Gerät wird angemeldet", "Sie können diese Seite schließen und zu Ihrem Gerät zurückkehren."},
			DeviceDenied:     {"Sie haben den Zugriff abgelehnt", "Das Gerät erhält nichts. Sie können diese Seite schließen."},
			DeviceDecided:    {"Dieser Code wurde schon verwendet", "Beginnen Sie auf Ihrem Gerät neu, und geben Sie den neuen Code ein."},
			DeviceTooLate:    {"Dieser Code ist abgelaufen", "Beginnen Sie auf Ihrem Gerät neu, und geben Sie den neuen Code ein."},
			DeviceNotGranted: {"Sie können diese Anwendung nicht verwenden", "Ihr Konto hat keinen Zugriff darauf. Wenden Sie sich an die Betreiber der Anwendung."},
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
			WrongCode:       "Le code est incorrect ou a expiré. Comparez-le avec celui de votre appareil.",
		},
		Problems: map[Reason]Said{
			Expired:     {"Cette page a expiré", "Revenez à l’application et connectez-vous à nouveau. Les cookies doivent être autorisés."},
			BadRequest:  {"L’application ne peut pas vous connecter", "Sa demande n’est pas valide. Vous ne pouvez rien faire ici ; prévenez les responsables de l’application."},
			OtherSite:   {"Un autre site a envoyé ce formulaire", "Revenez à l’application et connectez-vous à nouveau."},
			Unavailable: {"La connexion est indisponible pour le moment", "Réessayez dans un instant."},
			Internal:    {"Une erreur s’est produite", "Revenez à l’application et connectez-vous à nouveau."},
		},
		YourDevice: "votre appareil", ConnectDevice: "Connecter un appareil", EnterCode: "Saisissez le code affiché par votre appareil.", CodeLabel: "Code", Next: "Continuer",
		DeviceQuestion: "souhaite utiliser votre compte sur un appareil", DeviceAddress: "Adresse réseau de l’appareil", UnknownAddress: "inconnue",
		DeviceWarning: "N’autorisez cela que si vous avez commencé vous-même, sur un de vos appareils qui affiche ce code. " +
			"Si un message, un appel ou une page vous a donné le code ou le lien, choisissez Refuser : d’autres auraient accès à votre compte.",
		Ends: map[End]Said{
			DeviceAllowed:    {"Votre appareil se connecte", "Vous pouvez fermer cette page et revenir à votre appareil."},
			DeviceDenied:     {"Vous avez refusé l’accès", "L’appareil ne reçoit rien. Vous pouvez fermer cette page."},
			DeviceDecided:    {"Ce code a déjà été utilisé", "Recommencez sur votre appareil et saisissez le nouveau code."},
			DeviceTooLate:    {"Ce code a expiré", "Recommencez sur votre appareil et saisissez le nouveau code."},
			DeviceNotGranted: {"Vous ne pouvez pas utiliser cette application", "Votre compte n’y a pas accès. Adressez-vous aux responsables de l’application."},
		},
	},
}
