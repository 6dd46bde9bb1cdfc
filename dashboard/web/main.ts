import { mount } from "svelte";
import App from "./App.svelte";
import "./styles/tokens.css";
import "./styles/base.css";
import { begin } from "./i18n/index.svelte.ts";

await begin();
const target = document.getElementById("app");
if (target) mount(App, { target });
