"""Questions that are always safe: they ask, and they say nothing of any answer. And what asks for the level.

A model puts the question into the learner's language, whichever that is. When that fails, the prepared one is said in
one of six languages.
"""

from __future__ import annotations

import re

from functions.shared.leaks.words import Language

# by the English name of the language: the first is for the first turn
QUESTIONS: dict[str, tuple[str, ...]] = {
    "English": (
        "Before we begin: how well do you know this topic already, and where do you feel unsure?",
        "Which part of this can you explain in your own words, and where does it become unclear?",
        "What would you try first here, and why?",
        "How could you check for yourself whether your idea holds?",
    ),
    "German": (
        "Bevor wir anfangen: Wie gut kennst du dieses Thema schon, und wo bist du unsicher?",
        "Welchen Teil davon kannst du in eigenen Worten erklären, und ab wo wird es unklar?",
        "Was würdest du hier zuerst versuchen, und warum?",
        "Wie könntest du selbst prüfen, ob deine Idee trägt?",
    ),
    "Spanish": (
        "Antes de empezar: ¿cuánto sabes ya de este tema y dónde te sientes inseguro?",
        "¿Qué parte puedes explicar con tus propias palabras y dónde deja de estar clara?",
        "¿Qué intentarías primero aquí, y por qué?",
        "¿Cómo podrías comprobar tú mismo si tu idea se sostiene?",
    ),
    "French": (
        "Avant de commencer : que connais-tu déjà de ce sujet, et où as-tu des doutes ?",
        "Quelle partie peux-tu expliquer avec tes propres mots, et où cela devient-il flou ?",
        "Que tenterais-tu d'abord ici, et pourquoi ?",
        "Comment pourrais-tu vérifier toi-même si ton idée tient ?",
    ),
    "Italian": (
        "Prima di iniziare: quanto conosci già questo argomento, e dove hai dubbi?",
        "Quale parte sai spiegare con parole tue, e dove diventa poco chiara?",
        "Che cosa proveresti per prima cosa, e perché?",
        "Come potresti verificare da te se la tua idea regge?",
    ),
    "Portuguese": (
        "Antes de começar: quanto já sabes sobre este tema, e onde tens dúvidas?",
        "Que parte consegues explicar por palavras tuas, e onde deixa de ser clara?",
        "O que tentarias primeiro aqui, e porquê?",
        "Como poderias verificar se a tua ideia se mantém?",
    ),
}
# words with which a question asks what somebody knows already, in the languages that are recognised
LEVEL = re.compile(
    r"\b(?:level|familiar|know|knew|knowledge|heard|learn(?:ed|t)|stud(?:y|ied)|experience[d]?|already|comfortable|sure"
    r"|confident|grade|background|niveau|kennst|wei(?:ß|ss)t|vorwissen|vertraut|gelernt|schon|erfahrung|unsicher|klasse"
    r"|nivel|sabes|conoces|estudiado|aprendido|ya|experiencia|connais(?:sez)?|sais|savez|déjà|appris|étudié|expérience"
    r"|livello|conosci|sai|già|studiato|imparato|esperienza|nível|conheces?|sabe|já|estudaste|aprendeste"
    r"|znáš|víš|umíš|úroveň|kender|ved|allerede|γνωρίζε\w+|ξέρε\w+|επίπεδο|ήδη|tiedät|tunnet|osaat|taso\w*|ismer\w+"
    r"|tud(?:sz|od)\w*|szint\w*|tahu|mengetahui|kenal|paham|weet|kent?|kennis|bekend|vet|kjenner|nivå|känner|znasz|wiesz"
    r"|poziom\w*|știi|cunoști|nivelul|знаешь|знаете|знаком\w*|уровен\w*|уровн\w+|изуча\w+|знаєш|знаєте|рівень"
    r"|unajua|unafahamu|kiwango|umejifunza|bili?yor\w*|düzey\w*|seviye\w*|biết|trình độ|đã học)\b"
    r"|水平|程度|了解|瞭解|知道|学过|學過|知って|習|レベル|알고|아시|아나요|수준|배웠|배운|مستوى|تعرف|تعلم|سمعت|سطح|دان[یی]|بلدی|آشنا"
    r"|جانت|معلوم|יודע|מכיר|רמה|למד|स्तर|जान|पता|सीख|माहि|माही|पातळी|জান|শিখ|স্তর|જાણ|શીખ|સ્તર|ਜਾਣ|ਪੱਧਰ|தெரி|அறி|நிலை"
    r"|తెలు|స్థాయి|รู้|ระดับ|เคยเรียน",
    re.IGNORECASE,
)


def safe_question(language: Language, turn: int) -> str:
    """A question for a turn, the first of which has the number 0. In English where the language has none."""
    known = QUESTIONS.get(language.name, QUESTIONS["English"])
    return known[0] if turn == 0 else known[1 + (turn - 1) % (len(known) - 1)]
