"""MathML as LaTeX: what Canvas's equation editor and pages of the web write."""

from __future__ import annotations

from selectolax.lexbor import LexborNode

MAX_DEPTH = 60
SYMBOLS = {
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "\u00d7": r"\times",
    "⋅": r"\cdot",
    "·": r"\cdot",
    "÷": r"\div",
    "±": r"\pm",
    "∞": r"\infty",
    "∫": r"\int",
    "∑": r"\sum",
    "∏": r"\prod",
    "√": r"\surd",
    "π": r"\pi",
    "\u03b1": r"\alpha",
    "β": r"\beta",
    "\u03b3": r"\gamma",
    "δ": r"\delta",
    "Δ": r"\Delta",
    "ε": r"\varepsilon",
    "θ": r"\theta",
    "λ": r"\lambda",
    "μ": r"\mu",
    "\u03c1": r"\rho",
    "\u03c3": r"\sigma",
    "τ": r"\tau",
    "φ": r"\varphi",
    "ω": r"\omega",
    "Ω": r"\Omega",
    "∂": r"\partial",
    "∇": r"\nabla",
    "→": r"\to",
    "⇒": r"\Rightarrow",
    "⇔": r"\Leftrightarrow",
    "∈": r"\in",
    "∉": r"\notin",
    "⊂": r"\subset",
    "\u222a": r"\cup",
    "∩": r"\cap",
    "∀": r"\forall",
    "∃": r"\exists",
    "≈": r"\approx",
    "∝": r"\propto",
    "°": r"^\circ",
    "\u2212": "-",
    "\u2061": "",
    "\u2062": "",
    "\u2063": "",
    "\u2064": "",
    "…": r"\ldots",
    "\u211d": r"\mathbb{R}",
    "\u2115": r"\mathbb{N}",
    "\u2124": r"\mathbb{Z}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
}
ACCENTS = {
    "¯": r"\overline",
    "‾": r"\overline",
    "^": r"\hat",
    "→": r"\vec",
    "~": r"\tilde",
    "˙": r"\dot",
    "¨": r"\ddot",
}
FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln", "exp"}
    | {"lim", "max", "min", "det", "gcd"}
)


def latex_of(node: LexborNode, depth: int = 0) -> str:
    """The LaTeX of a ``math`` element or of a part of one."""
    if depth > MAX_DEPTH:
        return ""
    parts = [latex_of(child, depth + 1) for child in node.iter()]

    def part(index: int) -> str:
        return parts[index] if index < len(parts) else ""

    match node.tag:
        case "semantics":
            return part(0)
        case "annotation" | "annotation-xml":
            return ""
        case "mi" | "mn" | "mo" | "ms":
            return token(node.text(strip=True), node.tag)
        case "mtext":
            text = node.text(strip=True)
            return f"\\text{{{text}}}" if text else ""
        case "mspace":
            return " "
        case "mfrac":
            return f"\\frac{{{part(0)}}}{{{part(1)}}}"
        case "msqrt":
            return f"\\sqrt{{{''.join(parts)}}}"
        case "mroot":
            return f"\\sqrt[{part(1)}]{{{part(0)}}}"
        case "msup":
            return f"{part(0)}^{{{part(1)}}}"
        case "msub" | "munder":
            return f"{part(0)}_{{{part(1)}}}"
        case "mover":
            over = part(1).strip()
            return f"{ACCENTS[over]}{{{part(0)}}}" if over in ACCENTS else f"{part(0)}^{{{over}}}"
        case "msubsup" | "munderover":
            return f"{part(0)}_{{{part(1)}}}^{{{part(2)}}}"
        case "mfenced":
            opening, closing = node.attributes.get("open") or "(", node.attributes.get("close") or ")"
            return f"\\left{token(opening, 'mo')}{','.join(parts)}\\right{token(closing, 'mo')}"
        case "mtr" | "mlabeledtr":
            return " & ".join(parts)
        case "mtable":
            return "\\begin{matrix}" + r" \\ ".join(parts) + "\\end{matrix}"
        case _:
            return "".join(parts) if parts else token(node.text(strip=True), "mi")


def token(text: str, tag: str) -> str:
    """A name, number or operator."""
    if text in SYMBOLS:
        symbol = SYMBOLS[text]
        return f"{symbol} " if symbol[-1:].isalpha() else symbol
    if tag == "mi" and text in FUNCTIONS:
        return f"\\{text} "
    if tag == "mi" and len(text) > 1 and text.isalpha():
        return f"\\mathrm{{{text}}}"
    return "".join(SYMBOLS.get(character, character) for character in text)
