package loginpage

// WrongCode is the failure of a code that the service did not make, or made too long ago.
const WrongCode Failure = "WrongCode"

// deviceTexts are the texts of the pages for devices in one language.
type deviceTexts struct {
	YourDevice, Connect, Enter, Code, Continue string
	WrongCode                                  string
	Question, Address, Unknown, Warning        string
	Ends                                       map[End]Said
}

func deviceTextsFor(header string) *deviceTexts {
	return &deviceCatalogue[languageFor(header)]
}

// deviceCatalogue has the texts of each of languages, in their order.
var deviceCatalogue = [...]deviceTexts{
	{
		YourDevice: "your device", Connect: "Sign in a device", Enter: "Enter the code that your device shows.", Code: "Code", Continue: "Continue",
		WrongCode: "The code is wrong, or it has expired. Compare it with the one on your device.",
		Question:  "wants to use your account on a device", Address: "Network address of the device", Unknown: "not known",
		Warning: "Allow this only if you began it yourself, on a device of your own that shows this code. " +
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
		YourDevice: "Ihrem Gerät", Connect: "Ein Gerät anmelden", Enter: "Geben Sie den Code ein, den Ihr Gerät anzeigt.", Code: "Code", Continue: "Weiter",
		WrongCode: "Der Code ist falsch oder abgelaufen. Vergleichen Sie ihn mit dem auf Ihrem Gerät.",
		Question:  "möchte Ihr Konto auf einem Gerät verwenden", Address: "Netzwerkadresse des Geräts", Unknown: "nicht bekannt",
		Warning: "Erlauben Sie dies nur, wenn Sie selbst auf einem eigenen Gerät begonnen haben, das diesen Code anzeigt. " +
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
		YourDevice: "votre appareil", Connect: "Connecter un appareil", Enter: "Saisissez le code affiché par votre appareil.", Code: "Code", Continue: "Continuer",
		WrongCode: "Le code est incorrect ou a expiré. Comparez-le avec celui de votre appareil.",
		Question:  "souhaite utiliser votre compte sur un appareil", Address: "Adresse réseau de l’appareil", Unknown: "inconnue",
		Warning: "N’autorisez cela que si vous avez commencé vous-même, sur un de vos appareils qui affiche ce code. " +
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
