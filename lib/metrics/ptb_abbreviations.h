// The words before whose full stop Stanford's PTBTokenizer 3.4.1 does not split, in lower case;
// found by asking it for every word of up to four letters and for a vocabulary of 30,000.
#pragma once

#include <functional>
#include <set>
#include <string>

namespace mtlora {

using PtbWordSet = std::set<std::string, std::less<>>;

// A full stop belongs to these wherever they stand.
inline const PtbWordSet kAbbreviations = {
    "adj",   "adm",   "adv",   "al",    "ala",     "alex", "apr",  "ariz",  "assn",  "asst",
    "atty",  "attys", "aug",   "ave",   "bancorp", "bhd",  "bldg", "blvd",  "brig",  "bros",
    "calif", "capt",  "cf",    "cie",   "cmdr",    "co",   "col",  "colo",  "comdr", "conn",
    "corp",  "cos",   "cpl",   "ct",    "dak",     "dec",  "dept", "det",   "dr",    "drs",
    "elec",  "ens",   "esq",   "est",   "etc",     "ext",  "feb",  "fla",   "fri",   "ft",
    "ga",    "gen",   "gov",   "govs",  "hon",     "inc",  "ind",  "insp",  "intl",  "invt",
    "jan",   "jos",   "jr",    "jul",   "jun",     "kan",  "kans", "ky",    "lieut", "lt",
    "ltd",   "maj",   "mar",   "md",    "messrs",  "mfg",  "mich", "minn",  "mlle",  "mme",
    "mo",    "mon",   "mont",  "mr",    "mrs",     "ms",   "msgr", "mt",    "mtg",   "natl",
    "neb",   "nev",   "nov",   "oct",   "okla",    "penn", "pfc",  "ph",    "plc",   "ppte",
    "ppty",  "pres",  "prof",  "profs", "pte",     "ptes", "pty",  "ptys",  "pvt",   "rd",
    "rep",   "reps",  "rev",   "rt",    "sen",     "sens", "sep",  "sept",  "seq",   "sfc",
    "sgt",   "spc",   "sq",    "sr",    "st",      "ste",  "supt", "supts", "sys",   "tel",
    "tenn",  "thu",   "thurs", "tue",   "tues",    "univ", "va",   "vs",    "vt",    "wed",
    "wis",   "wisc",  "wm",    "wyo"};
// The same, but only with a capital.
inline const PtbWordSet kCapitalAbbreviations = {"ark",  "az",  "del", "ill", "la",  "mass",
                                                 "miss", "ore", "pa",  "tex", "wash"};
// The same, but only before a number.
inline const PtbWordSet kNumberAbbreviations = {"art", "ca", "fig", "figs", "no",
                                                "nos", "op", "pp",  "prop"};
// A single letter and its full stop part before these: they begin a sentence.
inline const PtbWordSet kSentenceStarts = {
    "a",     "about",   "according", "additionally", "after", "an",      "and",   "as",   "at",
    "but",   "earlier", "he",        "her",          "here",  "however", "if",    "in",   "it",
    "last",  "many",    "more",      "now",          "once",  "one",     "other", "our",  "she",
    "since", "so",      "some",      "such",         "that",  "the",     "their", "then", "there",
    "these", "they",    "this",      "we",           "what",  "when",    "while", "yet",  "you"};

}  // namespace mtlora
