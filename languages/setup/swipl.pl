% Loaded before the program.  It calls main/0 after the program is loaded, unless the program did so itself: a
% directive ":- main.", or initialization(main).  A program without main/0 consists of directives only.
:- module(evalx, []).

:- use_module(library(prolog_wrap)).
:- dynamic entered/0.

run :-
    current_prolog_flag(toplevel_goal, halt),
    \+ entered,
    current_predicate(user:main/0),
    !,
    user:main.
run.

may_run((:- initialization(_, main))) :-
    !,
    assertz(entered).
may_run((:- _)).
may_run((?- _)).
may_run(end_of_file).

watch_main :-
    current_predicate(user:main/0),
    \+ predicate_property(user:main, imported_from(_)),
    \+ predicate_property(user:main, wrapped(_)),
    !,
    wrap_predicate(user:main, evalx, Main, (assertz(evalx:entered), Main)).
watch_main.

% Whatever can call main is seen here before it runs.
:- multifile user:term_expansion/2.
:- dynamic user:term_expansion/2.
user:term_expansion(Term, _) :-
    evalx:may_run(Term),
    evalx:watch_main,
    fail.
